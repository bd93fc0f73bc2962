//! How exact a figure is.

/// Below this many connections the noise of the machine is larger than what they take.
pub(super) const TOO_FEW: u64 = 1_000;

pub(super) fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
