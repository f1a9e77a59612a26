//! Tables of small histories with known verdicts, agreement with exhaustive search, and speed.

use kv::env::Rng;

use super::*;
use crate::checker::register::State;
use crate::history::{Kind, Op, Process};
use crate::rng::SeedRng;
use crate::value::Value;

/// One row per operation: begin, end (None: unknown), action. Times are any numbers, each used once.
fn verdict(rows: &[(u64, Option<u64>, Action)]) -> Outcome {
    search(&events(rows), DEFAULT_BUDGET)
}

fn events(rows: &[(u64, Option<u64>, Action)]) -> Vec<Event> {
    let row = |(n, (invoked, returned, action)): (usize, &(u64, Option<u64>, Action))| Event {
        invoked: *invoked,
        returned: *returned,
        process: Process::Client(n as u64),
        action: *action,
    };
    rows.iter().enumerate().map(row).collect()
}

fn r(value: i64) -> Action {
    Action::Read(Some(value))
}

fn w(value: i64) -> Action {
    Action::Write(value)
}

fn cas(old: i64, new: i64) -> Action {
    Action::Cas(old, new)
}

const NOTHING: Action = Action::Read(None);

#[test]
fn legal_histories() {
    type Row = (u64, Option<u64>, Action);
    let table: &[(&str, &[Row])] = &[
        ("empty", &[]),
        ("one after the other", &[(1, Some(2), w(1)), (3, Some(4), r(1))]),
        ("a read beside a write sees either", &[(1, Some(4), w(1)), (2, Some(3), NOTHING)]),
        ("or the other", &[(1, Some(4), w(1)), (2, Some(3), r(1))]),
        (
            "two readers of two writers",
            &[(1, Some(8), w(1)), (2, Some(9), w(2)), (3, Some(4), r(2)), (5, Some(6), r(1))],
        ),
        ("a chain of cas", &[(1, Some(2), w(1)), (3, Some(8), cas(2, 3)), (4, Some(7), cas(1, 2))]),
        (
            "an unknown write which takes effect late",
            &[(1, None, w(5)), (2, Some(3), w(1)), (4, Some(5), r(1)), (6, Some(7), r(5))],
        ),
        (
            "an unknown write which never does",
            &[(1, None, w(5)), (2, Some(3), w(1)), (4, Some(5), r(1)), (6, Some(7), r(1))],
        ),
        (
            "an unknown write seen only by an unknown cas whose result is seen",
            &[(1, None, w(5)), (2, None, cas(5, 6)), (3, Some(4), NOTHING), (5, Some(6), r(6))],
        ),
        (
            "an unknown cas that must be left out",
            &[
                (1, Some(2), w(1)),
                (3, None, cas(1, 2)),
                (4, Some(5), cas(1, 3)),
                (6, Some(7), r(3)),
            ],
        ),
    ];
    for (name, rows) in table {
        assert!(matches!(verdict(rows), Outcome::Linearizable(_)), "{name}");
    }
}

#[test]
fn illegal_histories() {
    type Row = (u64, Option<u64>, Action);
    let table: &[(&str, &[Row])] = &[
        ("a stale read", &[(1, Some(2), w(1)), (3, Some(4), w(2)), (5, Some(6), r(1))]),
        ("a lost write", &[(1, Some(2), w(1)), (3, Some(4), NOTHING)]),
        ("a value that nobody wrote, as of a failed write", &[(1, Some(2), r(9))]),
        ("a read from the future", &[(1, Some(2), r(1)), (3, Some(4), w(1))]),
        (
            "two readers that disagree on the order",
            &[(1, Some(20), w(1)), (3, Some(4), r(1)), (5, Some(6), NOTHING)],
        ),
        (
            "two cas from the same value",
            &[(1, Some(2), w(1)), (3, Some(6), cas(1, 2)), (4, Some(7), cas(1, 3))],
        ),
        ("a cas on nothing", &[(1, Some(2), cas(1, 2))]),
        (
            "a cas that was overwritten unseen",
            &[(1, Some(2), w(1)), (3, Some(4), cas(1, 2)), (5, Some(6), r(1))],
        ),
        (
            "an unknown write that takes effect twice",
            &[(1, None, w(5)), (2, Some(3), r(5)), (4, Some(5), w(1)), (6, Some(7), r(5))],
        ),
        ("an unknown write before its invocation", &[(1, Some(2), r(5)), (3, None, w(5))]),
    ];
    for (name, rows) in table {
        assert!(matches!(verdict(rows), Outcome::Stuck), "{name}");
    }
}

#[test]
fn a_violation_is_explained() {
    let rows = [
        (1, Some(2), w(1)),
        (3, Some(4), w(2)),
        (5, Some(9), r(1)),
        (6, None, w(3)),
        (7, Some(8), r(2)),
    ];
    let text = Stuck::find(&events(&rows), DEFAULT_BUDGET).explain(7);
    let expected = "\
key 7: not linearizable; the first 3 operations to return have a legal order, with the next there is none
  fits    [1..2] process 0: write 1
  fits    [3..4] process 1: write 2
  fits    [7..8] process 4: read 2
  broken  [5..9] process 2: read 1
  beside  [6..?] process 3: write 3";
    assert_eq!(text, expected);
}

/// Tries every order of every choice of unknown operations.
fn brute_force(events: &[Event], done: u32, state: State) -> bool {
    let left = |n: &usize| done & (1 << n) == 0;
    let mut all = 0..events.len();
    if all.clone().filter(left).all(|n| events[n].returned.is_none()) {
        return true;
    }
    all.any(|n| {
        let first = |other: usize| events[other].returned.is_none_or(|end| end > events[n].invoked);
        left(&n)
            && (0..events.len()).filter(left).all(first)
            && events[n]
                .action
                .step(state)
                .is_some_and(|state| brute_force(events, done | (1 << n), state))
    })
}

/// Few values, so that they repeat: harder for the reductions than unique ones.
fn random_history(rng: &SeedRng) -> Vec<Event> {
    let count = rng.between(1, 7) as usize;
    let mut times: Vec<u64> = (0..2 * count as u64).collect();
    rng.shuffle(&mut times);
    let values = rng.between(1, 3);
    let value = || rng.between(1, values) as i64;
    let rows: Vec<_> = (0..count)
        .map(|n| {
            let (one, other) = (times[2 * n], times[2 * n + 1]);
            let action = match rng.below(8) {
                0 => NOTHING,
                1..=3 => r(value()),
                4 | 5 => w(value()),
                _ => cas(value(), value()),
            };
            let known = matches!(action, Action::Read(_)) || rng.percent(65);
            (one.min(other), known.then_some(one.max(other)), action)
        })
        .collect();
    events(&rows)
}

#[test]
fn agrees_with_exhaustive_search_on_random_tiny_histories() {
    let rng = SeedRng::stream(1, "tiny histories", 0);
    let mut legal = 0;
    for case in 0..20_000 {
        let events = random_history(&rng);
        let expected = brute_force(&events, 0, None);
        let found = match search(&events, DEFAULT_BUDGET) {
            Outcome::Linearizable(_) => true,
            Outcome::Stuck => false,
            Outcome::OutOfBudget => panic!("case {case} is tiny"),
        };
        assert_eq!(found, expected, "case {case}: {events:#?}");
        legal += u64::from(expected);
    }
    assert!((2_000..18_000).contains(&legal), "both verdicts must be common: {legal} legal");
}

/// A history which a correct register produced: each operation takes effect at a moment between its ends.
/// Unknown ones take effect late, or never.
fn sound_history(rng: &SeedRng, count: usize, workers: u64, unknown_percent: u64) -> Vec<Event> {
    let mut free_at: Vec<u64> = (0..workers).collect();
    let mut moments = Vec::new();
    for n in 0..count {
        let worker = (0..free_at.len()).min_by_key(|w| free_at[*w]).expect("there are workers");
        let begin = free_at[worker];
        let moment = begin + 10 * rng.between(1, 100);
        let end = moment + 10 * rng.between(1, 100);
        free_at[worker] = end + 10;
        moments.push((moment, n, begin, end, rng.percent(unknown_percent)));
    }
    moments.sort_unstable();
    let mut state = None;
    let mut rows = Vec::new();
    let mut late = Vec::new();
    for (moment, n, begin, end, unknown) in moments {
        late.retain(|(when, value)| {
            if *when <= moment {
                state = Some(*value);
            }
            *when > moment
        });
        // Times are unique: the last digit, and the place in the list, tell the worker.
        let (begin, end) = (begin * 1_000 + n as u64, end * 1_000 + n as u64);
        let new = n as i64;
        let action = match (rng.below(100), state) {
            (0..50, _) => Action::Read(state),
            (85.., Some(old)) => cas(old, new),
            _ => w(new),
        };
        match (unknown, action) {
            (true, Action::Read(_)) => {}
            (true, Action::Write(_)) => {
                if rng.percent(50) {
                    late.push((moment + rng.between(0, 20_000), new));
                }
                rows.push((begin, None, action));
            }
            (unknown, _) => {
                state = action.step(state).expect("the action was chosen for this state");
                rows.push((begin, (!unknown).then_some(end), action));
            }
        }
    }
    rows.sort_unstable_by_key(|row| row.0);
    events(&rows)
}

#[test]
fn sound_histories_of_the_usual_size_take_few_steps() {
    // Steps, not time, so that the test means the same everywhere. A step is well under a microsecond when optimised.
    let rng = SeedRng::stream(2, "sound histories", 0);
    for case in 0..40 {
        let unknown = [0, 2, 10, 30][case % 4];
        let events = sound_history(&rng, 400, 10, unknown);
        let outcome = search(&events, 20_000);
        assert!(matches!(outcome, Outcome::Linearizable(_)), "case {case}, {unknown} % unknown");
    }
}

#[test]
fn a_spoilt_history_of_the_usual_size_is_found() {
    let rng = SeedRng::stream(3, "spoilt histories", 0);
    for case in 0..40 {
        let unknown = [0, 2, 10, 30][case % 4];
        let mut events = sound_history(&rng, 400, 10, unknown);
        let reads: Vec<usize> =
            (200..events.len()).filter(|n| matches!(events[*n].action, Action::Read(_))).collect();
        let first = events.iter().find_map(|e| e.returned.and(e.action.writes()));
        let spoilt = *rng.pick(&reads);
        events[spoilt].action = Action::Read(first);
        assert!(
            matches!(search(&events, 100_000), Outcome::Stuck),
            "case {case}, {unknown} % unknown"
        );
        let stuck = Stuck::find(&events, 100_000);
        assert_eq!(stuck.culprit, events[spoilt], "case {case}, {unknown} % unknown");
    }
}

#[test]
fn whole_histories_are_judged_key_by_key() {
    use crate::client::{Answer, ClientOp};
    use crate::history::Recorder;
    let now = std::time::Duration::ZERO;
    let mut recorder = Recorder::new(1);
    let write = |recorder: &mut Recorder, key, value| {
        let op = ClientOp::Write { key, value };
        recorder.invoke(0, now, op.f(), op.value());
        op
    };
    let read = |recorder: &mut Recorder, key, value| {
        let op = ClientOp::Read { key };
        recorder.invoke(0, now, op.f(), op.value());
        recorder.ok(0, now, op.ok_value(&Answer::Register(value)));
    };
    let done = write(&mut recorder, 1, 10);
    recorder.ok(0, now, done.ok_value(&Answer::Done));
    write(&mut recorder, 2, 20);
    recorder.fail(0, now, "rolled back");
    write(&mut recorder, 3, 30);
    recorder.info(0, now, "timeout");
    read(&mut recorder, 1, Some(10));
    read(&mut recorder, 3, None);
    read(&mut recorder, 3, Some(30));
    let sound = recorder.finish(now);
    assert_eq!(check(&sound, DEFAULT_BUDGET), Verdict::Valid);
    assert!(matches!(check(&sound, 1), Verdict::Unknown(why) if why.contains("key 3: no verdict")));

    // The same, but somebody saw the write that failed.
    let mut ops = sound.ops().to_vec();
    for (f, kind, value) in [("read", Kind::Invoke, Value::Nil), ("read", Kind::Ok, Value::Int(20))]
    {
        let (index, process) = (ops.len() as u64, Process::Client(7));
        let value = Value::List(vec![Value::Int(2), value]);
        ops.push(Op { index, time_ns: 0, process, kind, f, value, error: None });
    }
    let spoilt = check(&History::from_ops(ops).expect("well formed"), DEFAULT_BUDGET);
    let [violation] = spoilt.violations() else { panic!("one key is broken: {spoilt}") };
    assert!(violation.starts_with("key 2: not linearizable"), "{violation}");
    assert!(violation.ends_with("process 7: read 20"), "{violation}");
}
