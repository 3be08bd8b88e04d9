//! The axes of charts: where on one a value stands, and which values it names.

/// How values become lengths.
pub struct Scale {
    pub is_logarithmic: bool,
    /// Where the axis begins and ends, and the values that it names.
    pub ticks: Vec<f64>,
    /// The place of the first and of the last tick.
    pub from: f64,
    pub to: f64,
}

impl Scale {
    /// From 0 to `most` or a little more.
    pub fn linear(most: f64, from: f64, to: f64) -> Scale {
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
    pub fn logarithmic(least: f64, most: f64, from: f64, to: f64) -> Scale {
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

    pub fn place(&self, value: f64) -> f64 {
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
pub fn tail(percentile: f64) -> f64 {
    // The last one would be infinitely far away.
    let percentile = percentile.clamp(0.0, 99.999);
    -(1.0 - percentile / 100.0).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
