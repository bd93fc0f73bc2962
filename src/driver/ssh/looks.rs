//! What the machines count, looked at without waiting for them.

use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};

use super::line::Line;
use crate::observe::{Depth, Machines, Seen};

/// A machine that counts while it holds a million connections may be slow to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What one machine was asked for, and what it told last.
#[derive(Default)]
struct Look {
    asked: Option<BoxFuture<'static, Option<Seen>>>,
    told: Option<Seen>,
}

#[derive(Default)]
pub struct Looks {
    each: Vec<Look>,
    machines: Machines,
}

impl Looks {
    /// Everything there is now: the machines are waited for.
    pub async fn wait(&mut self, lines: &[Line]) -> Seen {
        let looks = lines.iter().map(|line| tokio::time::timeout(PATIENCE, line.look(Depth::Full)));
        let told = join_all(looks).await;
        self.each.resize_with(lines.len(), Look::default);
        for (look, told) in self.each.iter_mut().zip(told) {
            // An answer to an earlier question would be older than this one.
            *look = Look { asked: None, told: told.ok().flatten() };
        }
        self.all(lines)
    }

    /// What has been told since the last time; who has answered is asked again, and nobody is waited for.
    pub fn take(&mut self, lines: &[Line], depth: Depth) -> Seen {
        self.each.resize_with(lines.len(), Look::default);
        for (look, line) in self.each.iter_mut().zip(lines) {
            let answer = look.asked.as_mut().and_then(FutureExt::now_or_never);
            if look.asked.is_none() || answer.is_some() {
                look.asked = Some(line.look(depth).boxed());
            }
            if let Some(told) = answer {
                look.told = told;
            }
        }
        self.all(lines)
    }

    /// Each machine looks for itself: together they are as busy as the busiest.
    fn all(&mut self, lines: &[Line]) -> Seen {
        let told =
            || self.each.iter().zip(lines).filter_map(|(look, line)| Some((line, look.told.as_ref()?)));
        Seen {
            spent: told().map(|(_, seen)| seen.spent).max().unwrap_or_default(),
            sample: self.machines.see(told().map(|(line, seen)| (line.node.clone(), seen.sample.clone()))),
        }
    }
}
