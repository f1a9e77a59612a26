//! What clients that behave are told.

use super::client::{field, tags};
use super::*;

#[tokio::test]
async fn encryption_is_refused_and_the_version_agreed_on() {
    let server = server(Limits::recommended());
    let mut client = dial(&server);
    use tokio::io::AsyncReadExt;
    for request in [b"\x04\xd2\x16\x30", b"\x04\xd2\x16\x2f"] {
        client.send_startup(request).await;
        assert_eq!(client.io.read_u8().await.unwrap(), b'N');
    }
    client.send_startup(b"\0\x03\x27\x0fuser\0root\0_pq_.x\0y\0\0").await;
    let answers = client.answers().await;
    assert_eq!(tags(&answers), "v R S K Z:I");
    assert_eq!(answers[0].1, b"\0\x03\0\x02\0\0\0\x01_pq_.x\0");
    assert_eq!(answers[3].1.len(), 4 + 32);
    assert_eq!(server.sessions(), 1);

    let mut old = dial(&server);
    old.send_startup(b"\0\x03\0\0user\0root\0options\0-c a=b\0c\0d\0\0").await;
    assert_eq!(old.answers().await[2].1.len(), 4 + 4);
    old.query("settings").send().await;
    let answers = old.answers().await;
    assert_eq!(tags(&answers), "T D D C:SHOW Z:I");
    assert_eq!((&answers[1].1[6..], &answers[2].1[6..]), (&b"a=b"[..], &b"c=d"[..]));
}

#[tokio::test]
async fn a_session_that_is_refused_says_why() {
    let server = server(Limits { sessions: 1, ..Limits::recommended() });
    for (packet, code) in [
        (&b"\0\x03\0\0database\0x\0\0"[..], "28000"),
        (b"\0\x03\0\0user\0u\0database\0nowhere\0\0", "3D000"),
        (b"\0\x02\0\0user\0u\0\0", "0A000"),
        (b"\0\x03\0\0user\0u\0replication\0database\0\0", "0A000"),
    ] {
        let mut client = dial(&server);
        client.send_startup(packet).await;
        let answers = client.answers().await;
        assert_eq!(tags(&answers), format!("E:{code}"));
        assert_eq!(field(&answers[0].1, b'S'), "FATAL");
    }
    let first = connect(&server).await;
    let mut second = dial(&server);
    second.send_startup(b"\0\x03\0\0user\0root\0\0").await;
    assert_eq!(tags(&second.answers().await), "E:53300");
    drop(first);
    while server.sessions() > 0 {
        tokio::task::yield_now().await;
    }
    connect(&server).await;
}

#[tokio::test]
async fn a_client_that_is_silent_in_a_block_for_too_long_is_gone() {
    let server = server(Limits::recommended());
    let mut patient = connect(&server).await;
    let mut client = connect(&server).await;
    client.query("begin").send().await;
    assert_eq!(tags(&client.answers().await), "C:BEGIN Z:T");
    // A batch that is not at its end is not silence.
    client.parse("rows 1").put('H', b"").send().await;
    server.clock.sleep(2 * fake::IDLE_LIMIT).await;
    client.sync().send().await;
    assert_eq!(tags(&client.answers().await), "1 Z:T");
    let answers = client.answers().await;
    assert_eq!(tags(&answers), "E:25P03");
    assert_eq!(field(&answers[0].1, b'S'), "FATAL");
    patient.query("rows 1").send().await;
    assert_eq!(tags(&patient.answers().await), "T D C:SELECT 1 Z:I");
}

#[tokio::test]
async fn a_simple_query_may_hold_several_statements() {
    let mut client = connected().await;
    assert_eq!(
        client.query("rows 2;insert;rows 0").talk().await,
        "T D D C:SELECT 2 C:INSERT T C:SELECT 0 Z:I"
    );
    assert_eq!(client.query("insert;boom;insert").talk().await, "C:INSERT E:22012 Z:I");
    assert_eq!(client.query("").talk().await, "I Z:I");
    assert_eq!(client.query("begin").talk().await, "C:BEGIN Z:T");
    assert_eq!(client.query("boom").talk().await, "E:22012 Z:E");
    assert_eq!(client.query("commit").talk().await, "C:COMMIT Z:I");
    assert_eq!(client.query("zone UTC").talk().await, "S C:SET Z:I");
    client.query("boom").send().await;
    let error = &client.answers().await[0].1;
    assert_eq!((field(error, b'S'), field(error, b'V')), ("ERROR".into(), "ERROR".into()));
    assert_eq!((field(error, b'M'), field(error, b'P')), ("division by zero".into(), "3".into()));
}

#[tokio::test]
async fn what_was_taken_back_is_not_seen() {
    let mut client = connected().await;
    client.query("insert;retry").send().await;
    let answers = client.answers().await;
    assert_eq!(tags(&answers), "C:INSERT T D C:SELECT 1 Z:I");
    assert_eq!(answers[2].1, b"\0\x01\0\0\0\x012");
}

#[tokio::test]
async fn a_batch_is_answered_in_order() {
    let mut client = connected().await;
    client.parse("rows 1").put('D', b"S\0").bind().put('D', b"P\0").execute(0).sync();
    assert_eq!(client.talk().await, "1 t T 2 T D C:SELECT 1 Z:I");
    client.parse("insert").put('D', b"S\0").bind().execute(0).put('C', b"S\0").put('C', b"P\0");
    assert_eq!(client.sync().talk().await, "1 t n 2 C:INSERT 3 3 Z:I");
    client.parse("").bind().execute(0).sync();
    assert_eq!(client.talk().await, "1 2 I Z:I");
    // A parameter, and its value in the result.
    client.parse("echo").put('B', b"\0\0\0\0\0\x01\0\0\0\x02hi\0\0").execute(0).sync().send().await;
    assert_eq!(client.answers().await[2].1, b"\0\x01\0\0\0\x02hi");
    // Binary for all columns, and formats for columns that are not there.
    client.parse("rows 1").put('B', b"\0\0\0\0\0\0\0\x01\0\x01").execute(0).sync().send().await;
    assert_eq!(client.answers().await[2].1[..10], *b"\0\x02\0\0\0\x04\0\0\0\x01");
    client.parse("rows 1").put('B', b"\0\0\0\0\0\0\0\x03\0\x01\0\0\0\0").execute(0).sync();
    assert_eq!(client.talk().await, "1 2 E:08P01 Z:I");
}

#[tokio::test]
async fn after_an_error_everything_up_to_sync_is_skipped() {
    let mut client = connected().await;
    client.parse("insert").bind().execute(0);
    client.parse("boom").bind().execute(0);
    client.parse("insert").bind().execute(0).put('H', b"").query("insert").sync();
    client.parse("insert").bind().execute(0).sync().send().await;
    assert_eq!(tags(&client.answers().await), "1 2 C:INSERT 1 2 E:22012 Z:I");
    assert_eq!(tags(&client.answers().await), "1 2 C:INSERT Z:I");
    // A message that makes no sense within its frame is such an error, too.
    client.put('B', b"\0\0").parse("insert").sync();
    assert_eq!(client.talk().await, "E:08P01 Z:I");
    client.put('Q', b"\xff\0");
    assert_eq!(client.talk().await, "E:22021 Z:I");
    client.put('F', b"\0\0\0\x01");
    assert_eq!(client.talk().await, "E:0A000 Z:I");
}

#[tokio::test]
async fn flush_sends_what_there_is_and_an_error_does_not_wait_for_it() {
    let mut client = connected().await;
    client.parse("rows 1").put('D', b"S\0").put('H', b"").send().await;
    assert_eq!(tags(&client.answers_to('T').await), "1 t T");
    client.bind().execute(0).put('H', b"").send().await;
    assert_eq!(tags(&client.answers_to('C').await), "2 D C:SELECT 1");
    client.parse("syntax").put('H', b"").send().await;
    assert_eq!(tags(&client.answers_to('E').await), "E:42601");
    assert_eq!(client.sync().talk().await, "Z:I");
}

#[tokio::test]
async fn a_portal_gives_its_rows_in_portions() {
    let mut client = connected().await;
    client.query("begin").talk().await;
    client.parse("rows 5").bind().execute(2).sync();
    assert_eq!(client.talk().await, "1 2 D D s Z:T");
    assert_eq!(client.execute(2).sync().talk().await, "D D s Z:T");
    assert_eq!(client.execute(2).sync().talk().await, "D C:SELECT 1 Z:T");
    client.parse("insert").bind().execute(1).sync();
    assert_eq!(client.talk().await, "1 2 C:INSERT Z:T");
}

#[tokio::test]
async fn a_running_statement_is_cancelled_by_whoever_knows_the_key() {
    let server = server(Limits::recommended());
    let mut client = dial(&server);
    client.send_startup(b"\0\x03\0\0user\0root\0\0").await;
    let key = client.answers().await[2].1.clone();
    // The session knows the number that the client knows its connection by.
    client.query("number").send().await;
    let number = u32::from_be_bytes(key[..4].try_into().unwrap()).to_string();
    assert_eq!(&client.answers().await[1].1[6..], number.as_bytes());
    let cancel = |key: Vec<u8>| {
        let mut other = dial(&server);
        async move {
            other.send_startup(&[b"\x04\xd2\x16\x2e", &key[..]].concat()).await;
            assert_eq!(other.answer().await, None);
        }
    };
    // Before the statement: means nothing.
    cancel(key.clone()).await;
    client.query("hang").send().await;
    let mut wrong = key.clone();
    wrong[7] ^= 1;
    cancel(wrong).await;
    let short = key[..7].to_vec();
    cancel(short).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    cancel(key.clone()).await;
    assert_eq!(tags(&client.answers().await), "E:57014 Z:I");
    client.parse("hang").bind().execute(0).sync().send().await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    cancel(key.clone()).await;
    assert_eq!(tags(&client.answers().await), "1 2 E:57014 Z:I");
    assert_eq!(client.query("insert").talk().await, "C:INSERT Z:I");
    // A COPY whose client is silent; what it sends afterwards is the rest of it.
    client.query("copy").put('d', b"1\n").send().await;
    assert_eq!(client.answer().await.unwrap().0, 'G');
    cancel(key).await;
    assert_eq!(tags(&client.answers().await), "E:57014 Z:I");
    client.put('d', b"2\n").put('c', b"");
    assert_eq!(client.query("insert").talk().await, "C:INSERT Z:I");
}

#[tokio::test]
async fn copy_takes_data_until_it_is_done() {
    let mut client = connected().await;
    client.query("copy").put('d', b"1\t2\n").put('d', b"3\t").put('d', b"4\n").put('c', b"");
    assert_eq!(client.talk().await, "G C:COPY 2 Z:I");
    // The client gives up; the server gives up, and ignores what comes after.
    client.query("copy").put('d', b"1\t2\n").put('f', b"no\0");
    assert_eq!(client.talk().await, "G E:57014 Z:I");
    client.query("copy").put('d', b"bad\n").put('d', b"1\n").put('c', b"");
    assert_eq!(client.talk().await, "G E:22P04 Z:I");
    assert_eq!(client.query("copy").query("insert").talk().await, "G E:08P01 Z:I");
    // libpq sends Sync with Execute, and another one after the data.
    client.parse("copy").bind().execute(0).sync().put('d', b"1\n").put('c', b"").sync();
    assert_eq!(client.talk().await, "1 2 G C:COPY 1 Z:I");
    client.parse("copy").bind().execute(0).put('d', b"bad\n").put('d', b"1\n").put('c', b"").sync();
    assert_eq!(client.talk().await, "1 2 G E:22P04 Z:I");
}

#[tokio::test]
async fn rows_beyond_any_buffer_arrive_and_a_slow_reader_holds_the_statement_back() {
    let mut client = connected().await;
    client.query("rows 100000").send().await;
    let answers = client.answers().await;
    assert_eq!(answers.len(), 100_003);
    assert_eq!(answers[100_000].1, b"\0\x02\0\0\0\x06100000\0\0\0\x0axxxxxxxxxx");
}

#[tokio::test]
async fn a_stop_ends_idle_sessions_and_waits_for_statements() {
    let server = server(Limits::recommended());
    let (mut idle, mut busy) = (connect(&server).await, connect(&server).await);
    busy.query("rows 100000").send().await;
    assert_eq!(busy.answer().await.unwrap().0, 'T');
    server.stop();
    assert_eq!(tags(&idle.answers().await), "E:57P01");
    let answers = busy.answers().await;
    assert_eq!(answers.len(), 100_002);
    assert_eq!(tags(&busy.answers().await), "E:57P01");
    while server.sessions() > 0 {
        tokio::task::yield_now().await;
    }
}
