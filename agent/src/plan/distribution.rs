//! How jitter is spread: tables of 4096 deviations, each as likely as the next, with a mean of 0 and a standard deviation
//! of 8192 (`NETEM_DIST_SCALE`), as far as 16 bits hold them. netem draws one for each packet, and so does the emulator.

use std::sync::{Arc, LazyLock};

const ENTRIES: u32 = 4096;
const SCALE: f64 = 8192.0;

/// The bell curve.
pub fn normal() -> Arc<[i16]> {
    static TABLE: LazyLock<Arc<[i16]>> = LazyLock::new(|| table(normal_quantile));
    Arc::clone(&TABLE)
}

/// Pareto's, of shape 3: rarely very late, never very early.
pub fn pareto() -> Arc<[i16]> {
    static TABLE: LazyLock<Arc<[i16]>> = LazyLock::new(|| table(pareto_quantile));
    Arc::clone(&TABLE)
}

/// A quarter of the one and three quarters of the other.
pub fn paretonormal() -> Arc<[i16]> {
    static TABLE: LazyLock<Arc<[i16]>> =
        LazyLock::new(|| table(|p| 0.25 * normal_quantile(p) + 0.75 * pareto_quantile(p)));
    Arc::clone(&TABLE)
}

/// The quantiles in the middle of each of the entries' shares.
fn table(quantile: impl Fn(f64) -> f64) -> Arc<[i16]> {
    let entry = |nth: u32| {
        let deviation = quantile((f64::from(nth) + 0.5) / f64::from(ENTRIES)) * SCALE;
        // Clamped, so the cast cuts nothing off.
        #[allow(clippy::cast_possible_truncation)]
        let entry = deviation.round().clamp(f64::from(i16::MIN), f64::from(i16::MAX)) as i16;
        entry
    };
    (0..ENTRIES).map(entry).collect()
}

/// Pareto with scale 1 and shape 3 has a mean of 3/2 and a variance of 3/4.
fn pareto_quantile(p: f64) -> f64 {
    ((1.0 - p).powf(-1.0 / 3.0) - 1.5) / 0.75_f64.sqrt()
}

/// Found by bisection of the distribution function: slow, exact, and done once.
fn normal_quantile(p: f64) -> f64 {
    let (mut low, mut high) = (-8.0_f64, 8.0_f64);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if normal_below(middle) < p { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// The share of the bell curve below `x`: the integral from 0 by Simpson's rule, 64 strips.
fn normal_below(x: f64) -> f64 {
    let density = |x: f64| (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt();
    let strip = x / 64.0;
    let simpson = |nth: u32| {
        let left = f64::from(nth) * strip;
        density(left) + 4.0 * density(left + strip / 2.0) + density(left + strip)
    };
    0.5 + (0..64).map(simpson).sum::<f64>() * strip / 6.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(table: &[i16]) -> (f64, f64) {
        let count = f64::from(ENTRIES);
        let mean = table.iter().map(|d| f64::from(*d)).sum::<f64>() / count;
        let variance = table.iter().map(|d| (f64::from(*d) - mean).powi(2)).sum::<f64>() / count;
        (mean / SCALE, variance.sqrt() / SCALE)
    }

    #[test]
    fn the_tables_have_the_moments_that_they_claim() {
        let (mean, deviation) = moments(&normal());
        assert!(mean.abs() < 0.001 && (deviation - 1.0).abs() < 0.005, "{mean} {deviation}");
        // 16 bits end at four deviations, which a Pareto's tail passes: it loses some of its mean and spread.
        for table in [pareto(), paretonormal()] {
            let (mean, deviation) = moments(&table);
            assert!(mean.abs() < 0.05 && (0.7..1.0).contains(&deviation), "{mean} {deviation}");
        }
        assert_eq!(normal().len(), 4096);
        assert!(normal().is_sorted() && pareto().is_sorted());
    }

    #[test]
    fn the_quartile_of_the_bell_curve_is_where_it_is() {
        assert!((normal_quantile(0.75) - 0.674_489_75).abs() < 1e-6);
    }
}
