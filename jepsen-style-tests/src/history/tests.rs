//! The recorder, the invariants, and both exports.

use super::*;

fn recorded() -> History {
    let ms = Duration::from_millis;
    let mut recorder = Recorder::new(2);
    recorder.invoke(0, ms(1), "write", Value::List(vec![Value::Int(7), Value::Int(1)]));
    recorder.invoke(1, ms(1), "read", Value::List(vec![Value::Int(7), Value::Nil]));
    recorder.nemesis(ms(2), "crash", Value::Keyword("n1"));
    recorder.info(0, ms(3), "timed \"out\"");
    recorder.ok(1, ms(3), Value::List(vec![Value::Int(7), Value::Int(1)]));
    recorder.invoke(0, ms(4), "cas", Value::Nil);
    recorder.fail(0, ms(5), "mismatch");
    recorder.invoke(1, ms(5), "read", Value::Nil);
    recorder.finish(ms(6))
}

#[test]
fn a_worker_goes_on_as_a_new_process_after_an_unknown_outcome() {
    let history = recorded();
    let processes: Vec<Process> = history.calls().iter().map(|c| c.invoke.process).collect();
    assert_eq!(processes, [0, 1, 2, 1].map(Process::Client));
    assert_eq!(history.counts(), Counts { ok: 1, fail: 1, info: 2 });
    assert_eq!(History::from_ops(history.ops().to_vec()), Ok(history));
}

#[test]
fn histories_that_break_an_invariant_are_refused() {
    let ops = recorded().ops().to_vec();
    let spoilt = |change: fn(&mut Vec<Op>)| {
        let mut ops = ops.clone();
        change(&mut ops);
        History::from_ops(ops).expect_err("an invariant is broken")
    };
    assert!(spoilt(|ops| ops[1].index = 5).contains("index"));
    assert!(spoilt(|ops| ops[1].time_ns = 0).contains("time went back"));
    assert!(spoilt(|ops| ops[1].process = Process::Client(0)).contains("busy"));
    // The process died of its unknown outcome.
    assert!(spoilt(|ops| ops[5].process = Process::Client(0)).contains("dead"));
}

#[test]
fn exports_are_jepsen_op_maps() {
    let (mut edn, mut json) = (Vec::new(), Vec::new());
    let history = recorded();
    history.write_edn(&mut edn).expect("memory takes it");
    history.write_jsonl(&mut json).expect("memory takes it");
    let (edn, json) = (String::from_utf8_lossy(&edn), String::from_utf8_lossy(&json));
    let edn: Vec<&str> = edn.lines().collect();
    let json: Vec<&str> = json.lines().collect();
    assert_eq!(edn.len(), 9);
    assert_eq!(json.len(), 9);
    let first = "{:index 0, :time 1000000, :type :invoke, :process 0, :f :write, :value [7 1]}";
    assert_eq!(edn[0], first);
    assert!(edn[2].contains(":type :info, :process :nemesis, :f :crash, :value :n1"));
    assert!(edn[3].ends_with(r#":value [7 1], :error "timed \"out\""}"#));
    assert_eq!(
        json[1],
        r#"{"index":1,"time":1000000,"type":"invoke","process":1,"f":"read","value":[7,null]}"#
    );
}
