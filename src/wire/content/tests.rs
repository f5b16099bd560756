use proptest::prelude::*;

use super::*;

/// The content that comes out of bytes in pieces; what is left of them, and whether it is over.
fn decoded(framing: Framing, bytes: &[u8], pieces: usize) -> Result<(Vec<u8>, Vec<u8>, bool), Fault> {
    let (mut decoder, mut buffer, mut content) = (Decoder::new(framing), BytesMut::new(), Vec::new());
    for piece in bytes.chunks(pieces.max(1)) {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut buffer)? {
                Decoded::Data(piece) => content.extend_from_slice(&piece),
                Decoded::Trailers(trailers) => content.extend_from_slice(format!("{trailers:?}").as_bytes()),
                Decoded::More | Decoded::Over => break,
            }
        }
    }
    Ok((content, buffer.to_vec(), decoder.is_over()))
}

#[test]
fn content_ends_where_its_framing_says() {
    for pieces in [1, 2, 3, 100] {
        let of = |framing, bytes: &str| {
            let (content, rest, over) = decoded(framing, bytes.as_bytes(), pieces).expect("good");
            (String::from_utf8(content).expect("text"), String::from_utf8(rest).expect("text"), over)
        };
        let text = |content: &str, rest: &str, over| (content.to_owned(), rest.to_owned(), over);
        assert_eq!(of(Framing::Empty, "next"), text("", "next", true));
        assert_eq!(of(Framing::Length(3), "abcnext"), text("abc", "next", true));
        assert_eq!(of(Framing::Length(9), "abc"), text("abc", "", false));
        assert_eq!(of(Framing::UntilClose, "abc"), text("abc", "", false));
        let chunks = "a;x=\"y\"\r\n0123456789\r\n1 \r\nx\r\n1\t ;y z\r\ny\r\n0\r\n\r\nnext";
        assert_eq!(of(Framing::Chunked, chunks), text("0123456789xy", "next", true));
        let trailers = "1\r\na\r\n0\r\nX: y\r\nz:\r\n\r\nnext";
        assert_eq!(of(Framing::Chunked, trailers), text("a{\"x\": \"y\", \"z\": \"\"}", "next", true));
    }
}

#[test]
fn chunks_that_are_none_are_a_fault() {
    let long = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(20 << 10));
    let trailing = format!("0\r\na: {}\r\n\r\n", "x".repeat(20 << 10));
    for content in [
        "x\r\n",
        "\r\n",
        "0x5\r\n",
        "-1\r\n",
        "5\n",
        "1\r\nab",
        "1\r\na\n",
        "fffffffffffffffff\r\n",
        " 1\r\na\r\n",
        ";\r\n",
        "1 1\r\na\r\n",
        "1 x;y\r\na\r\n",
        "1\r\na\r\n0\r\nx\r\n\r\n",
        "0\r\na: b\n\r\n",
        "0\r\n a: b\r\n\r\n",
        "0\r\na : b\r\n\r\n",
        &long,
        &trailing,
    ] {
        for pieces in [1, 100, 1 << 20] {
            let found = decoded(Framing::Chunked, content.as_bytes(), pieces);
            assert_eq!(found.err(), Some(Fault::Chunk), "{content:.60?} in pieces of {pieces}");
        }
    }
}

#[test]
fn an_early_end_is_told_from_an_end() {
    for (framing, good) in
        [(Framing::Empty, true), (Framing::UntilClose, true), (Framing::Length(1), false), (Framing::Chunked, false)]
    {
        assert_eq!(Decoder::new(framing).end_of_input().is_ok(), good, "{framing:?}");
    }
}

#[test]
fn what_is_sent_is_as_long_as_its_head_says() {
    let mut outbox = Outbox::default();
    let mut encoder = Encoder::new(Framing::Length(3));
    assert_eq!(encoder.data(Bytes::from_static(b"abcd"), &mut outbox), Err(Mismatch));
    assert_eq!(encoder.data(Bytes::from_static(b"ab"), &mut outbox), Ok(()));
    assert_eq!(encoder.end(&mut outbox), Err(Mismatch));
    assert_eq!(encoder.data(Bytes::from_static(b"c"), &mut outbox), Ok(()));
    assert_eq!((encoder.end(&mut outbox), outbox.len()), (Ok(()), 3));
    assert_eq!(Encoder::new(Framing::Empty).data(Bytes::from_static(b"a"), &mut outbox), Err(Mismatch));
}

#[test]
fn sizes_of_chunks_are_in_hexadecimal() {
    for size in [1, 9, 10, 15, 16, 255, 4096, 65_536, usize::MAX] {
        assert_eq!(Size::of(size).line(), format!("{size:x}\r\n").as_bytes());
    }
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5000), 0..6),
        cut in 1..6000_usize,
        trailers in any::<bool>(),
    ) {
        let whole = pieces.concat();
        for framing in [Framing::Chunked, Framing::Length(whole.len() as u64)] {
            let (mut outbox, mut encoder) = (Outbox::default(), Encoder::new(framing));
            for piece in &pieces {
                encoder.data(Bytes::from(piece.clone()), &mut outbox).expect("fits");
            }
            let end = HeaderMap::from_iter([(http::header::ETAG, http::HeaderValue::from_static("x"))]);
            if trailers { encoder.trailers(&end, &mut outbox) } else { encoder.end(&mut outbox) }.expect("complete");
            let mut bytes = Vec::new();
            while !outbox.is_empty() {
                let count = outbox.first().len();
                bytes.extend_from_slice(outbox.first());
                outbox.advance(count);
            }
            let (content, rest, over) = decoded(framing, &bytes, cut).expect("good");
            let said = if trailers && framing == Framing::Chunked { &b"{\"etag\": \"x\"}"[..] } else { b"" };
            prop_assert!(content == [&whole[..], said].concat());
            prop_assert_eq!((rest.len(), over), (0, true));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), pieces in 1..20_usize) {
        let _ = decoded(Framing::Chunked, &bytes, pieces);
    }
}
