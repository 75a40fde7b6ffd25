//! Long histories of targets that share a query, read for many at once.
//!
//! A model is learned from weeks, each target's at a time of its own, and for one series the server works through all of
//! them: a thousand targets that asked one by one would keep it busy for hours. So who asks waits a moment for others, and
//! one pass over the weeks serves all who came:
//!
//! ```text
//! payments-api  [────────────────)  ┐
//! ledger      [────────────────)    ├─▶ the union of their weeks, chunk by chunk, of their series alone
//! refunds         [────────────────)┘
//! ```
//!
//! While one batch is under way the next one gathers. Its size is bounded by who may hold a history in memory at a time,
//! which the engine decides, and by [`MOST_MEMBERS`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Error;
use super::answer::{Doubts, Loads, When, read_table};
use super::client::Api;
use super::groups::Key;
use super::sizes::MOST_POINTS;
use crate::engine::{Demand, Label};
use crate::time::Slot;

/// So long a batch gathers: workers that start together ask within two seconds of each other.
const GATHER: Duration = Duration::from_millis(2_500);

/// Their names stand in the query, which must not become longer than servers take.
const MOST_MEMBERS: usize = 128;

/// What an instant of one series weighs, with its brackets and stamp, and what a chunk of a batch should.
const BYTES_PER_POINT: usize = 32;
const BYTES_PER_CHUNK: usize = 8 << 20;

/// The batches of one source.
pub(super) struct Batches {
    api: Arc<Api>,
    gathering: Arc<Mutex<HashMap<Key, Vec<Member>>>>,
}

/// Loads of consecutive slots and what is doubtful about them.
pub(super) type History = (Loads, Doubts);

/// One target of a batch.
struct Member {
    /// What its label holds.
    content: String,
    from: Slot,
    until: Slot,
    reply: oneshot::Sender<Result<History, Error>>,
}

impl Batches {
    pub(super) fn new(api: Arc<Api>) -> Self {
        Self { api, gathering: Arc::default() }
    }

    /// The loads of every slot of `from..until` of the series that belongs to `label`.
    pub(super) async fn ask(
        &self,
        demand: &Demand,
        label: &Label,
        (from, until): (Slot, Slot),
    ) -> Result<History, Error> {
        let key = Key { query: demand.query.clone(), label: label.name.clone(), step: demand.step };
        let (reply, history) = oneshot::channel();
        let first = {
            let mut gathering = self.gathering.lock().unwrap_or_else(PoisonError::into_inner);
            let first = !gathering.contains_key(&key);
            let member = Member { content: label.content.clone(), from, until, reply };
            gathering.entry(key.clone()).or_default().push(member);
            first
        };
        if first {
            tokio::spawn(serve(Arc::clone(&self.api), Arc::clone(&self.gathering), key));
        }
        let gone = |_| Err(Error::GivenUp { url: self.api.shown() });
        history.await.unwrap_or_else(gone)
    }
}

/// Serves all who gather for `key`, batch after batch, until nobody does.
#[expect(clippy::disallowed_methods, reason = "waits between real requests; no decision depends on it")]
async fn serve(api: Arc<Api>, gathering: Arc<Mutex<HashMap<Key, Vec<Member>>>>, key: Key) {
    loop {
        tokio::time::sleep(GATHER).await;
        let members = {
            let mut gathering = gathering.lock().unwrap_or_else(PoisonError::into_inner);
            let waiting = gathering.entry(key.clone()).or_default();
            waiting.retain(|member| !member.reply.is_closed());
            let members: Vec<Member> = waiting.drain(..waiting.len().min(MOST_MEMBERS)).collect();
            if members.is_empty() {
                gathering.remove(&key);
                return;
            }
            members
        };
        let began = Instant::now();
        let (count, read) = (members.len(), read(&api, &key, &members).await);
        let took_seconds = began.elapsed().as_secs_f64();
        tracing::debug!(
            url = api.shown(),
            query = key.query,
            members = count,
            took_seconds,
            "a batch was read"
        );
        match read {
            Ok((columns, doubts)) => {
                for (member, column) in members.into_iter().zip(columns) {
                    // Who has given up meanwhile wants no answer.
                    let _ = member.reply.send(column.map(|loads| (loads, doubts.clone())));
                }
            }
            Err(error) => {
                for member in members {
                    let _ = member.reply.send(Err(error.clone()));
                }
            }
        }
    }
}

/// The loads of each member, in their order, or why that one has none.
async fn read(
    api: &Api,
    key: &Key,
    members: &[Member],
) -> Result<(Vec<Result<Loads, Error>>, Doubts), Error> {
    let Key { query, label, step } = key;
    let _history = api.history().await;
    let of_members = restricted(query, label, members.iter().map(|member| &*member.content));
    let points = BYTES_PER_CHUNK.min(api.settings.max_body_bytes / 2) / (BYTES_PER_POINT * members.len());
    let points = i64::try_from(points).unwrap_or(MOST_POINTS).clamp(1, MOST_POINTS);
    let (Some(mut begin), Some(until)) =
        (members.iter().map(|member| member.from).min(), members.iter().map(|member| member.until).max())
    else {
        return Ok((Vec::new(), Doubts::default()));
    };
    let mut columns: Vec<Result<Loads, Error>> = members.iter().map(|_| Ok(Loads::new())).collect();
    let mut doubts = Doubts::default();
    while begin < until {
        let points = points.min(api.sizes.of_one(&of_members));
        let chunk = api.chunk(&of_members, *step, (begin, until), points).await?;
        let when = When::Range { from: begin, until: chunk.until };
        let table = read_table(&chunk.body, &api.question(query, *step, when), label)?;
        for (member, column) in members.iter().zip(&mut columns) {
            let (from, to) = (begin.max(member.from), chunk.until.min(member.until));
            let Ok(loads) = column else { continue };
            let place = |slot: Slot| usize::try_from(slot.since(begin)).unwrap_or_default();
            match table.columns.get(&member.content) {
                _ if from >= to => {}
                Some(Ok(found)) => loads.extend_from_slice(&found[place(from)..place(to)]),
                Some(Err(error)) => *column = Err(error.clone()),
                None => loads.resize(loads.len() + place(to) - place(from), None),
            }
        }
        doubts.append(&table.doubts);
        begin = chunk.until;
    }
    api.tell(query, &doubts);
    Ok((columns, doubts))
}

/// The shared query with the series of some targets alone. The server works for all of them still, but what it sends is
/// theirs: eight weeks of a thousand series are two gigabytes.
///
/// `label_replace` marks the series whose label holds one of `contents`, and `and` keeps the marked ones.
fn restricted<'a>(query: &str, label: &str, contents: impl Iterator<Item = &'a str>) -> String {
    let one_of = contents.map(pattern).collect::<Vec<_>>().join("|");
    let one_of = one_of.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let mark = "tidetable_member";
    // A query may end in a comment.
    format!(
        "label_replace(({query}\n), \"{mark}\", \"1\", \"{label}\", \"{one_of}\") \
         and on ({mark}) label_replace(vector(1), \"{mark}\", \"1\", \"\", \"\")"
    )
}

/// A regular expression that matches `content` and nothing else.
fn pattern(content: &str) -> String {
    let mut pattern = String::with_capacity(content.len());
    for character in content.chars() {
        if "\\.+*?()|[]{}^$".contains(character) {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_hold_anything_are_quoted() {
        assert_eq!(
            restricted("x # all", "app", ["a\"b\\c$1\n", "a.b"].into_iter()),
            r#"label_replace((x # all
), "tidetable_member", "1", "app", "a\"b\\\\c\\$1\n|a\\.b") and on (tidetable_member) label_replace(vector(1), "tidetable_member", "1", "", "")"#
        );
    }
}
