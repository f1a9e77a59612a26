//! What clients that do not behave get: an error or a closed connection, and nobody else suffers.

use tokio::io::AsyncWriteExt;

use super::*;

#[tokio::test]
async fn garbage_ends_its_connection_only() {
    let server = server(Limits::recommended());
    let mut bystander = connect(&server).await;
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\x05\xf5\xe1\0\0\x03\0\0user",
        b"\0\0\0\0",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        let mut client = dial(&server);
        client.io.write_all(garbage).await.unwrap();
        assert_eq!(tags(&client.answers().await), "E:08P01", "{garbage:?}");
    }
    for garbage in [&b"\x00\0\0\0\x04"[..], b"Q\x7f\xff\xff\xff", b"S\0\0\0\0", b"p\0\0\0\x05x"] {
        let mut client = connect(&server).await;
        client.io.write_all(garbage).await.unwrap();
        assert_eq!(tags(&client.answers().await), "E:08P01", "{garbage:?}");
    }
    // The end of the stream in the middle of a message.
    for half in [&b"Q\0\0\0\x10sel"[..], b"B", b"d\0"] {
        let mut client = connect(&server).await;
        client.io.write_all(half).await.unwrap();
        client.io.shutdown().await.unwrap();
        assert_eq!(client.answer().await, None);
    }
    assert_eq!(bystander.query("insert").talk().await, "C:INSERT Z:I");
    bystander.put('X', b"").send().await;
    assert_eq!(bystander.answer().await, None);
    while server.sessions() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_is_too_long_is_refused_and_the_connection_goes_on() {
    let server = server(Limits::recommended());
    let mut client = connect(&server).await;
    for tag in [b'Q', b'P'] {
        let (length, chunk) = (65 << 20, vec![b'x'; 1 << 20]);
        let announced = u32::try_from(length + 4).unwrap().to_be_bytes();
        client.io.write_all(&[&[tag][..], &announced].concat()).await.unwrap();
        for _ in 0..length >> 20 {
            client.io.write_all(&chunk).await.unwrap();
        }
        if tag == b'P' {
            client.sync();
        }
        assert_eq!(client.talk().await, "E:54000 Z:I");
        assert_eq!(client.query("insert").talk().await, "C:INSERT Z:I");
    }
    // Data of a COPY that is too long fails the COPY, and what follows is the rest of it.
    client.query("copy").send().await;
    client.io.write_all(b"d\x04\x00\x00\x05").await.unwrap();
    for _ in 0..64 {
        client.io.write_all(&vec![b'x'; 1 << 20]).await.unwrap();
    }
    client.io.write_all(b"x").await.unwrap();
    assert_eq!(client.put('c', b"").talk().await, "G E:54000 Z:I");
    assert_eq!(client.query("insert").talk().await, "C:INSERT Z:I");
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_does_not_stay() {
    let limits = Limits { startup: Duration::from_millis(50), ..Limits::recommended() };
    let mut client = dial(&server(limits));
    client.io.write_all(b"\0\0\0\x20\0\x03").await.unwrap();
    assert_eq!(tags(&client.answers().await), "E:08P01");
}

#[tokio::test]
async fn mutated_conversations_never_panic() {
    let server = server(Limits::recommended());
    let mut good = Vec::new();
    {
        let (near, _far) = tokio::io::duplex(1);
        let mut client = Client::new(near);
        client.parse("rows 3").put('D', b"S\0").bind().execute(2).put('H', b"").sync();
        client.query("copy").put('d', b"1\n").put('c', b"").query("insert;rows 2");
        good.extend(client.take());
    }
    let mut seed = 0x5eed_u64;
    let mut below = move |bound: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed >> 33).unwrap() % bound
    };
    for _ in 0..500 {
        let mut bytes = good.clone();
        for _ in 0..1 + below(3) {
            let at = below(bytes.len());
            bytes[at] = below(256) as u8;
        }
        let mut client = connect(&server).await;
        // The server may close before it has read everything.
        let _ = client.io.write_all(&bytes).await;
        let _ = client.io.shutdown().await;
        while client.answer().await.is_some() {}
    }
    connect(&server).await;
}
