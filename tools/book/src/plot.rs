//! Draws charts as SVG: bars with their spread, and curves of percentiles. The crates that draw charts bring fonts, colours and a
//! picture's worth of code with them; this is two scales and a few shapes, drawn in the theme's colours by classes of `book.css`.
//!
//! Lengths are in units of the picture, which is as wide as a phone: on one, they are pixels.

use std::fmt::Write;

use measure::median;

use crate::markdown::line;
use crate::scale::{Scale, tail};

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
