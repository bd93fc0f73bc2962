//! One process, as `/proc/<pid>/stat` tells.

/// Field 22, the start in clock ticks since boot. Field 2 is the command's name in parentheses, and may
/// hold spaces and parentheses itself: only the last one ends it.
pub fn parse_start_time(stat: &str) -> Option<u64> {
    const START_TIME: usize = 22;
    const FIRST_AFTER_NAME: usize = 3;
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(START_TIME - FIRST_AFTER_NAME)?.parse().ok()
}
