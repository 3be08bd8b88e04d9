//! Draws charts as SVG: bars with their spread, and curves of percentiles. The crates that draw charts bring fonts, colours and a
//! picture's worth of code with them; this is two scales and a few shapes, drawn in the theme's colours by classes of `book.css`.
//!
//! Lengths are in units of the picture, which is as wide as a phone: on one, they are pixels.

use std::fmt::Write;

use measure::median;

use crate::markdown::line;

const WIDTH: f64 = 420.0;
/// Room for half a label at an end of an axis.
const EDGE: f64 = 6.0;

/// From a bar to the next; where in that its middle is, and how thick it is.
const ROW: f64 = 46.0;
const MIDDLE: f64 = 30.0;
const THICKNESS: f64 = 14.0;
/// From the last bar to the picture's end: the axis.
const AXIS: f64 = 26.0;
/// If the most is that many times the least, bars would not show the least; the scale is logarithmic then, and has no bars.
const TOO_FAR: f64 = 50.0;

/// Where the curves are.
const LEFT: f64 = 40.0;
const RIGHT: f64 = 288.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 262.0;
/// From the curves' end to their names, and between two of these.
const GAP: f64 = 16.0;
const LINE: f64 = 18.0;

/// A figure of one server.
pub struct Bar {
    pub name: String,
    /// One for each run; none if there was no answer.
    pub values: Vec<f64>,
    /// How many requests have failed in all runs.
    pub failed: u64,
}

/// Percentiles of one server.
#[derive(Clone)]
pub struct Curve {
    pub name: String,
    /// The percentile, and its values in all runs.
    pub points: Vec<(f64, Vec<f64>)>,
}

impl Bar {
    /// The least, the median and the most.
    pub fn spread(&self) -> Option<(f64, f64, f64)> {
        spread(&self.values)
    }
}

/// The least, the median and the most of some values.
pub fn spread(values: &[f64]) -> Option<(f64, f64, f64)> {
    let values = values.iter().copied().filter(|value| value.is_finite());
    let least = values.clone().reduce(f64::min)?;
    let most = values.clone().reduce(f64::max)?;
    Some((least, median(values)?, most))
}

/// A number with three digits that count: 18,700 and 0.41.
pub fn number(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return "0".into();
    }
    let digits = 2 - value.abs().log10().floor() as i32;
    let unit = 10_f64.powi(-digits);
    let rounded = (value / unit).round() * unit;
    if digits <= 0 {
        return grouped(rounded.max(0.0) as u64);
    }
    let text = format!("{rounded:.0$}", digits as usize);
    text.trim_end_matches('0').trim_end_matches('.').into()
}

/// A whole number, its digits in groups of three.
pub fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How values become lengths.
struct Scale {
    is_logarithmic: bool,
    /// Where the axis begins and ends, and the values that it names.
    ticks: Vec<f64>,
    /// The place of the first and of the last tick.
    from: f64,
    to: f64,
}

impl Scale {
    /// From 0 to `most` or a little more.
    fn linear(most: f64, from: f64, to: f64) -> Scale {
        let rough = most / 4.0;
        let power = 10_f64.powf(rough.log10().floor());
        let factors = [1.0, 2.0, 2.5, 5.0, 10.0];
        let factor = factors.into_iter().find(|factor| factor * power >= rough);
        let step = factor.unwrap_or(10.0) * power;
        let count = (most / step).ceil() as u32;
        Scale {
            is_logarithmic: false,
            ticks: (0..=count.max(1)).map(|n| f64::from(n) * step).collect(),
            from,
            to,
        }
    }

    /// From `least` or a little less to `most` or a little more, in powers of ten; where there are few of these, also their doubles and
    /// their halves.
    fn logarithmic(least: f64, most: f64, from: f64, to: f64) -> Scale {
        // Beyond that, nothing has been measured.
        let (least, most) = (least.clamp(1e-6, 1e12), most.clamp(1e-6, 1e12));
        let (first, last) = (least.log10().floor() as i32, most.log10().ceil() as i32);
        let powers = (first..=last.max(first + 1)).map(|n| 10_f64.powi(n));
        let fine: Vec<f64> = powers
            .clone()
            .flat_map(|power| [power, 2.0 * power, 5.0 * power])
            .collect();
        // Only those around the values.
        let begin = fine
            .iter()
            .rposition(|tick| *tick <= least * 1.0001)
            .unwrap_or(0);
        let end = fine.iter().position(|tick| *tick >= most * 0.9999);
        let end = end.unwrap_or(fine.len() - 1).max(begin + 1);
        let ticks = fine[begin..=end].to_vec();
        Scale {
            is_logarithmic: true,
            ticks: match ticks.len() {
                ..=8 => ticks,
                _ => powers.collect(),
            },
            from,
            to,
        }
    }

    fn place(&self, value: f64) -> f64 {
        let measure = |value: f64| match self.is_logarithmic {
            true => value.log10(),
            false => value,
        };
        let (first, last) = (self.ticks[0], self.ticks[self.ticks.len() - 1]);
        let value = value.max(first);
        let share = (measure(value) - measure(first)) / (measure(last) - measure(first));
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }
}

/// The place of a percentile on an axis on which 90, 99 and 99.9 are equally far from each other.
fn tail(percentile: f64) -> f64 {
    // The last one would be infinitely far away.
    let percentile = percentile.clamp(0.0, 99.999);
    -(1.0 - percentile / 100.0).log10()
}

/// The beginning of a picture.
fn begin(id: &str, title: &str, description: &str, height: f64) -> String {
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"{id}-title {id}-desc\">\n\
         <title id=\"{id}-title\">{}</title>\n<desc id=\"{id}-desc\">{}</desc>\n",
        line(title),
        line(description)
    )
}

/// The least and the most of all values that are more than 0.
fn extremes(bars: &[Bar]) -> (f64, f64) {
    let values = bars.iter().flat_map(|bar| bar.values.iter().copied());
    let positive: Vec<f64> = values.filter(|value| *value > 0.0).collect();
    spread(&positive).map_or((1.0, 1.0), |(least, _, most)| (least, most))
}

/// Whether the scale is such that there are bars.
pub fn has_bars(bars: &[Bar]) -> bool {
    let (least, most) = extremes(bars);
    most / least <= TOO_FAR
}

/// Horizontal bars: the median as a bar, the spread as a line over it, each run as a dot.
pub fn bars(id: &str, title: &str, description: &str, unit: &str, bars: &[Bar]) -> String {
    let bottom = bars.len() as f64 * ROW;
    let mut svg = begin(id, title, description, bottom + AXIS);
    let (least, most) = extremes(bars);
    let scale = match has_bars(bars) {
        true => Scale::linear(most, EDGE, WIDTH - EDGE),
        false => Scale::logarithmic(least, most, EDGE, WIDTH - EDGE),
    };
    axis(&mut svg, &scale, bottom);
    for (number, bar) in bars.iter().enumerate() {
        draw(&mut svg, &scale, bar, unit, number as f64 * ROW);
    }
    svg.push_str("</svg>\n");
    svg
}

/// The values that a horizontal scale names, from the top to `bottom` and beneath it.
fn axis(svg: &mut String, scale: &Scale, bottom: f64) {
    for (position, tick) in scale.ticks.iter().enumerate() {
        let x = scale.place(*tick);
        let anchor = match position {
            0 => "start",
            _ if position + 1 == scale.ticks.len() => "end",
            _ => "middle",
        };
        // The ends of the axis are nearly those of the picture.
        let text = match anchor {
            "start" => 0.0,
            "end" => WIDTH,
            _ => x,
        };
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{x:.1}\" y1=\"0\" x2=\"{x:.1}\" y2=\"{bottom}\"/>\n\
             <text class=\"tick\" x=\"{text:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>\n",
            bottom + AXIS - 8.0,
            number(*tick)
        );
    }
}

fn draw(svg: &mut String, scale: &Scale, bar: &Bar, unit: &str, top: f64) {
    let middle = top + MIDDLE;
    let spread = bar.spread();
    let value = match spread {
        Some((_, median, _)) if unit == "/s" => format!("{}/s", number(median)),
        Some((_, median, _)) => format!("{} {unit}", number(median)),
        None => "no answer".into(),
    };
    let value = match bar.failed {
        0 => value,
        failed => format!("{value}, {} failed", grouped(failed)),
    };
    let _ = writeln!(
        svg,
        "<text class=\"label\" x=\"0\" y=\"{0:.1}\">{1}</text>\n<text class=\"value\" x=\"{WIDTH}\" y=\"{0:.1}\" text-anchor=\"end\">{2}</text>",
        top + 15.0,
        line(&bar.name),
        line(&value)
    );
    let Some((least, median, most)) = spread else {
        return;
    };
    let (from, at, to) = (scale.place(least), scale.place(median), scale.place(most));
    let (above, below) = (middle - THICKNESS / 2.0, middle + THICKNESS / 2.0);
    let _ = match scale.is_logarithmic {
        // A bar has a length, and this scale has no beginning from which it could be measured.
        true => writeln!(
            svg,
            "<line class=\"median\" x1=\"{at:.1}\" y1=\"{above:.1}\" x2=\"{at:.1}\" y2=\"{below:.1}\"/>"
        ),
        false => writeln!(
            svg,
            "<rect class=\"bar\" x=\"{:.1}\" y=\"{above:.1}\" width=\"{:.1}\" height=\"{THICKNESS}\"/>",
            scale.from,
            (at - scale.from).max(1.0)
        ),
    };
    let _ = writeln!(
        svg,
        "<path class=\"spread\" d=\"M{from:.1} {0:.1}V{1:.1}M{from:.1} {middle:.1}H{to:.1}M{to:.1} {0:.1}V{1:.1}\"/>",
        middle - 4.0,
        middle + 4.0
    );
    for value in &bar.values {
        let x = scale.place(*value);
        let _ = writeln!(
            svg,
            "<circle class=\"run\" cx=\"{x:.1}\" cy=\"{middle:.1}\" r=\"2.5\"/>"
        );
    }
}

/// Curves of percentiles, on a logarithmic scale of milliseconds; each with a mark, a dash and its name at its end.
pub fn curves(id: &str, title: &str, description: &str, curves: &[Curve]) -> String {
    let mut svg = begin(id, title, description, BOTTOM + 44.0);
    let all = curves.iter().flat_map(|curve| &curve.points);
    let values = all.clone().flat_map(|(_, values)| values.iter().copied());
    let positive: Vec<f64> = values.filter(|value| *value > 0.0).collect();
    let (least, _, most) = spread(&positive).unwrap_or((1.0, 1.0, 10.0));
    let scale = Scale::logarithmic(least, most, BOTTOM, TOP);
    for tick in &scale.ticks {
        let y = scale.place(*tick);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{RIGHT}\" y2=\"{y:.1}\"/>\n\
             <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
            LEFT - 6.0,
            y + 5.0,
            number(*tick)
        );
    }
    let mut percentiles: Vec<f64> = all.map(|(percentile, _)| *percentile).collect();
    percentiles.sort_by(f64::total_cmp);
    percentiles.dedup();
    let first = percentiles.first().copied().map_or(0.0, tail);
    let last = percentiles.last().copied().map_or(1.0, tail);
    let width = if last > first { last - first } else { 1.0 };
    let place =
        |percentile| LEFT + EDGE + (tail(percentile) - first) / width * (RIGHT - LEFT - 2.0 * EDGE);
    for percentile in &percentiles {
        let _ = writeln!(
            svg,
            "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{percentile}</text>",
            place(*percentile),
            BOTTOM + 20.0
        );
    }
    let _ = writeln!(
        svg,
        "<text class=\"tick\" x=\"{LEFT}\" y=\"{:.1}\">% of the requests had an answer within … ms</text>",
        BOTTOM + 38.0
    );

    let ends: Vec<f64> = curves
        .iter()
        .map(|curve| {
            let last = curve.points.last().and_then(|(_, values)| spread(values));
            last.map_or(BOTTOM, |(_, median, _)| scale.place(median))
        })
        .collect();
    let names = apart(&ends, LINE, TOP + 4.0, BOTTOM);
    for (number, curve) in curves.iter().enumerate() {
        // Side by side, so that two spreads are not taken for one.
        let shift = (number as f64 - (curves.len() as f64 - 1.0) / 2.0) * 2.5;
        trace(&mut svg, &scale, curve, number % 4, |percentile| {
            place(percentile) + shift
        });
        let _ = writeln!(
            svg,
            "<path class=\"lead\" d=\"M{:.1} {:.1}L{:.1} {:.1}\"/>\n<text class=\"label\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            RIGHT,
            ends[number],
            RIGHT + GAP - 4.0,
            names[number],
            RIGHT + GAP,
            names[number] + 5.0,
            line(&match curve.points.is_empty() {
                true => format!("{}: no answer", curve.name),
                false => curve.name.clone(),
            })
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// One curve, drawn in the manner `style`.
fn trace(svg: &mut String, scale: &Scale, curve: &Curve, style: usize, place: impl Fn(f64) -> f64) {
    let mut path = String::new();
    let mut marks = String::new();
    for (percentile, values) in &curve.points {
        let Some((least, median, most)) = spread(values) else {
            continue;
        };
        let (x, y) = (place(*percentile), scale.place(median));
        let command = if path.is_empty() { 'M' } else { 'L' };
        let _ = write!(path, "{command}{x:.1} {y:.1}");
        let _ = writeln!(
            marks,
            "<line class=\"spread\" x1=\"{x:.1}\" y1=\"{:.1}\" x2=\"{x:.1}\" y2=\"{:.1}\"/>",
            scale.place(least),
            scale.place(most)
        );
        marks.push_str(&mark(style, x, y));
    }
    let _ = write!(
        svg,
        "<g class=\"curve curve-{style}\">\n<path class=\"line\" d=\"{path}\"/>\n{marks}</g>\n"
    );
}

/// A mark that tells a curve from the others without its colour.
fn mark(style: usize, x: f64, y: f64) -> String {
    match style {
        0 => format!("<circle class=\"mark\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>\n"),
        1 => format!(
            "<rect class=\"mark\" x=\"{:.1}\" y=\"{:.1}\" width=\"7\" height=\"7\"/>\n",
            x - 3.5,
            y - 3.5
        ),
        2 => format!(
            "<path class=\"mark\" d=\"M{x:.1} {:.1}l4.5 8h-9z\"/>\n",
            y - 5.0
        ),
        _ => format!(
            "<path class=\"mark\" d=\"M{x:.1} {:.1}l5 5l-5 5l-5 -5z\"/>\n",
            y - 5.0
        ),
    }
}

/// Moves `places` so that there is a `gap` between any two, and all are between `least` and `most`; their order stays.
fn apart(places: &[f64], gap: f64, least: f64, most: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by(|one, other| places[*one].total_cmp(&places[*other]));
    let mut moved = places.to_vec();
    let mut free = least;
    for index in &order {
        moved[*index] = moved[*index].max(free);
        free = moved[*index] + gap;
    }
    let mut free = most;
    for index in order.iter().rev() {
        moved[*index] = moved[*index].min(free);
        free = moved[*index] - gap;
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_three_digits_that_count() {
        for (value, text) in [
            (18_712.0, "18,700"),
            (1_234_567.0, "1,230,000"),
            (999.6, "1,000"),
            (100.0, "100"),
            (31.25, "31.3"),
            (0.4123, "0.412"),
            (0.5, "0.5"),
            (2.0, "2"),
            (0.0, "0"),
            (f64::NAN, "0"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_linear_scale_begins_at_zero_and_ends_beyond_the_most() {
        for most in [0.003, 0.9, 1.0, 17.0, 18_900.0, 99_999.0] {
            let scale = Scale::linear(most, 0.0, 100.0);
            let last = *scale.ticks.last().unwrap();
            assert_eq!(scale.ticks[0], 0.0);
            assert!(last >= most * 0.999 && last <= most * 1.7, "{most}: {last}");
            assert!((3..=6).contains(&scale.ticks.len()), "{:?}", scale.ticks);
            assert_eq!(scale.place(0.0), 0.0);
            assert!((scale.place(last) - 100.0).abs() < 1e-6);
        }
    }

    #[test]
    fn a_logarithmic_scale_holds_all_values_and_names_few() {
        for (least, most) in [
            (0.31, 31.0),
            (0.4, 1900.0),
            (1.0, 1.0),
            (3.0, 3.5),
            (0.05, 60_000.0),
        ] {
            let scale = Scale::logarithmic(least, most, 0.0, 100.0);
            let last = *scale.ticks.last().unwrap();
            assert!(scale.ticks[0] <= least * 1.001 && last >= most * 0.999);
            assert!((2..=8).contains(&scale.ticks.len()), "{:?}", scale.ticks);
            assert!(scale.place(least) >= 0.0 && scale.place(most) <= 100.0);
        }
        let scale = Scale::logarithmic(1.0, 10_000.0, 0.0, 100.0);
        assert!((scale.place(100.0) - 50.0).abs() < 1e-6);
    }

    #[test]
    fn the_tail_has_as_much_room_as_the_rest() {
        assert!((tail(99.0) - tail(90.0) - 1.0).abs() < 1e-9);
        assert!((tail(99.9) - tail(99.0) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn names_do_not_cover_each_other_and_keep_their_order() {
        let moved = apart(&[100.0, 101.0, 99.0, 250.0], 18.0, 10.0, 250.0);
        let mut sorted = moved.clone();
        sorted.sort_by(f64::total_cmp);
        assert!(
            sorted.windows(2).all(|pair| pair[1] - pair[0] >= 17.99),
            "{moved:?}"
        );
        assert!(moved[2] < moved[0] && moved[0] < moved[1] && moved[1] < moved[3]);
        assert!(sorted[0] >= 10.0 && sorted[3] <= 250.0);
    }

    #[test]
    fn a_picture_of_no_answers_has_no_bar_and_says_so() {
        let bar = Bar {
            name: "silent".into(),
            values: Vec::new(),
            failed: 7,
        };
        let svg = bars("x", "Title", "Text", "/s", &[bar]);
        assert!(svg.contains("no answer, 7 failed") && !svg.contains("class=\"bar\""));
        let curve = Curve {
            name: "silent".into(),
            points: Vec::new(),
        };
        assert!(curves("x", "Title", "Text", &[curve]).contains("no answer"));
    }

    #[test]
    fn no_text_of_a_recording_becomes_markup() {
        let hostile = "<script>\n\n{{#include x}}\"&";
        let bar = Bar {
            name: hostile.into(),
            values: vec![1.0, 2.0, f64::INFINITY],
            failed: 0,
        };
        let curve = Curve {
            name: hostile.into(),
            points: vec![(50.0, vec![0.0, -1.0, 1e300]), (100.0, vec![f64::MAX])],
        };
        for svg in [
            bars("x", hostile, hostile, hostile, &[bar]),
            curves("x", hostile, hostile, &[curve]),
        ] {
            assert!(!svg.contains("<script") && !svg.contains("{{"), "{svg}");
            assert!(!svg.contains("\n\n"), "{svg}");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
