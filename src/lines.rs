//! Lines with a bound: whoever is heard may be broken, or lie, and must not fill the memory of who listens.

use std::io::{self, BufRead, Read};

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// The longest that an agent says is the latencies of its echoes, some 100 KB.
pub const OF_AGENT: usize = 1 << 20;
/// A steward tells what a machine has, and the counters of hundreds of agents; it is told to start as many.
pub const OF_STEWARD: usize = 8 << 20;
/// For people: what is longer is cut.
pub const OF_COMPLAINT: usize = 4 << 10;

/// The lines of a stream, each without its end.
pub struct Lines<R> {
    reader: R,
    partial: Vec<u8>,
    most: usize,
    cuts: bool,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    /// A line with more bytes is an error.
    pub fn new(reader: R, most: usize) -> Lines<R> {
        Lines { reader, partial: Vec::new(), most, cuts: false }
    }

    /// Of a line with more bytes the rest is left out.
    pub fn cut(reader: R, most: usize) -> Lines<R> {
        Lines { cuts: true, ..Lines::new(reader, most) }
    }

    /// None: the end. Dropped before it is done, it loses nothing.
    pub async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let some = self.reader.fill_buf().await?;
            if some.is_empty() {
                return Ok((!self.partial.is_empty()).then(|| std::mem::take(&mut self.partial)));
            }
            let end = some.iter().position(|byte| *byte == b'\n');
            let length = end.unwrap_or(some.len());
            let room = self.most.saturating_sub(self.partial.len());
            if length > room && !self.cuts {
                return Err(too_long(self.most));
            }
            self.partial.extend_from_slice(&some[..length.min(room)]);
            self.reader.consume(length + usize::from(end.is_some()));
            if end.is_some() {
                return Ok(Some(std::mem::take(&mut self.partial)));
            }
        }
    }
}

/// The next line of a reader that blocks; none: the end.
pub fn read(reader: &mut impl BufRead, most: usize) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    reader.take(most as u64 + 1).read_until(b'\n', &mut line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
        return Ok(Some(line));
    }
    if line.len() > most { Err(too_long(most)) } else { Ok((!line.is_empty()).then_some(line)) }
}

fn too_long(most: usize) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a line of more than {most} bytes"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::BufReader;

    use super::*;

    async fn all(mut lines: Lines<BufReader<&[u8]>>) -> Vec<io::Result<Vec<u8>>> {
        let mut all = Vec::new();
        while let Some(line) = lines.next().await.transpose() {
            let is_over = line.is_err();
            all.push(line);
            if is_over {
                break;
            }
        }
        all
    }

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(work)
    }

    proptest! {
        #[test]
        fn every_line_within_the_bound_is_read(text in "[a-c\n]{0,60}", chunk in 1..9_usize, most in 1..20_usize) {
            let expected: Vec<&str> = text.lines().collect();
            let reader = BufReader::with_capacity(chunk, text.as_bytes());
            let read_here = run(all(Lines::new(reader, most)));
            let mut blocking = text.as_bytes();
            for (line, expected) in read_here.iter().zip(&expected) {
                let blocking = read(&mut blocking, most);
                if expected.len() <= most {
                    prop_assert_eq!(line.as_ref().expect("a line"), expected.as_bytes());
                    prop_assert_eq!(blocking.expect("a line").expect("a line"), expected.as_bytes());
                } else {
                    prop_assert!(line.is_err() && blocking.is_err());
                }
            }
            let too_long = expected.iter().position(|line| line.len() > most);
            prop_assert_eq!(read_here.len(), too_long.map_or(expected.len(), |place| place + 1));

            let reader = BufReader::with_capacity(chunk, text.as_bytes());
            let cut: Vec<Vec<u8>> = run(all(Lines::cut(reader, most))).into_iter().map(Result::unwrap).collect();
            prop_assert_eq!(cut, expected.iter().map(|line| line.as_bytes()[..line.len().min(most)].to_vec()).collect::<Vec<_>>());
        }
    }
}
