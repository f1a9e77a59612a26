//! What becomes of the work of clients that have gone: what they have sent is done in its order, and what runs when nothing
//! more is left ends, unless it commits.

use tokio::io::AsyncWriteExt;

use super::*;

/// What has been done once the sessions have ended. A statement without an end keeps its session for ever.
async fn done(server: &Arc<Server<Fake>>) -> Vec<String> {
    let ended = async {
        while server.sessions() > 0 {
            server.clock.sleep(Duration::from_millis(10)).await;
        }
    };
    server.clock.timeout(10 * fake::WAIT, ended).await.expect("the sessions end");
    std::mem::take(&mut server.factory.done.lock().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_statement_ends_when_nobody_waits_for_it() {
    let server = server(Limits::recommended());
    for farewell in [false, true] {
        for extended in [false, true] {
            let mut client = connect(&server).await;
            match extended {
                false => client.query("insert;wait;insert"),
                true => {
                    client.parse("wait").bind().put('D', b"P\0").execute(0).put('H', b"").sync()
                }
            };
            if farewell {
                client.put('X', b"");
            }
            client.send_and_go().await;
            let expected = if extended { &[][..] } else { &["insert"] };
            assert_eq!(done(&server).await, expected, "{farewell} {extended}");
        }
    }
    // The beginning of a further message is none.
    let mut client = connect(&server).await;
    client.query("hang").send().await;
    client.io.write_all(b"Q\0\0").await.unwrap();
    drop(client);
    assert!(done(&server).await.is_empty());
    let mut client = connect(&server).await;
    client.query("hang").send().await;
    client.io.shutdown().await.unwrap();
    assert_eq!(client.answer().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_short_statement_is_done_all_the_same() {
    let server = server(Limits::recommended());
    let mut client = connect(&server).await;
    client.query("insert");
    client.send_and_go().await;
    assert_eq!(done(&server).await, ["insert"]);
}

#[tokio::test(start_paused = true)]
async fn a_commit_goes_on_to_its_end() {
    let server = server(Limits::recommended());
    for farewell in [false, true] {
        for extended in [false, true] {
            let mut client = connect(&server).await;
            match extended {
                // What comes after it in the same message does not.
                false => client.query("long commit;hang"),
                true => client.parse("long commit").bind().execute(0).sync(),
            };
            if farewell {
                client.put('X', b"");
            }
            client.send_and_go().await;
            assert_eq!(done(&server).await, ["long commit"], "{farewell} {extended}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_is_done_in_its_order() {
    let server = server(Limits::recommended());
    for farewell in [false, true] {
        let mut client = connect(&server).await;
        client.query("wait").query("rows 100000").query("begin").query("wait 2").query("commit");
        client.parse("wait 3").bind().execute(0).parse("insert").bind().execute(0).sync();
        client.query("copy").put('d', b"1\t2\n").put('c', b"");
        if farewell {
            client.put('X', b"");
        }
        client.send_and_go().await;
        let expected =
            ["wait", "rows 100000", "begin", "wait 2", "commit", "wait 3", "insert", "copy"];
        assert_eq!(done(&server).await, expected, "{farewell}");
    }
    // More than is read ahead.
    let mut client = connect(&server).await;
    client.query("wait").query(&" ".repeat(2 * PIPE)).query("insert");
    client.send_and_go().await;
    assert_eq!(done(&server).await.last().unwrap(), "insert");
    // Who only sends nothing more is answered.
    let mut client = connect(&server).await;
    client.query("wait").query("insert").send().await;
    client.io.shutdown().await.unwrap();
    assert_eq!(tags(&client.answers().await), "C:WAIT Z:I");
    assert_eq!(tags(&client.answers().await), "C:INSERT Z:I");
    assert_eq!(client.answer().await, None);
}
