//! Numbers as people write them.

/// `300K`, `1M` and `1_000_000` as a number.
pub fn parse_count(text: &str) -> Result<u64, String> {
    let digits = text.replace(['_', ','], "");
    let (number, unit) = match digits.strip_suffix(['K', 'k']) {
        Some(number) => (number, 1_000),
        None => match digits.strip_suffix(['M', 'm']) {
            Some(number) => (number, 1_000_000),
            None => (digits.as_str(), 1),
        },
    };
    match number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)) {
        Some(count) if count > 0 => Ok(count),
        _ => Err(format!("`{text}` is not a count such as 300K or 1M")),
    }
}

/// 1234567 as `1,234,567`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
