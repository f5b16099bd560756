use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use http::HeaderValue;
use proptest::collection::vec;
use proptest::prelude::*;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::*;

const CAP: usize = 1 << 20;
const TEXT: &[u8] = br#"{"items":[1,2,3],"title":"crossfade crossfade crossfade"}"#;
/// [`TEXT`] by the reference encoder, `brotli -q 11`.
const BROTLI: &[u8] = b"\x1b\x38\x00\x48\x9d\x07\xb6\x8d\x6c\xfb\x46\x90\x16\x7e\xb5\x76\x30\x42\xa5\xb7\x48\xcc\xd6\xde\
    \xd2\xe9\x2b\x96\xae\x92\x99\x81\x0d\x38\x60\x0f\xb0\x71\xc3\x19\x0f\xa1\x56\x68\x91\xc9\x91\x0b\x1e\x0b\x63\x8b\x67\
    \x4e\x16\x0a";
/// 10 MiB of zeros in 27 bytes, by the reference encoder.
const BROTLI_BOMB: &[u8] =
    b"\xcb\xff\xff\x3f\xf8\x27\x00\xe2\xb1\x40\x20\xf7\xfe\x2f\xff\xff\x3f\xf0\x4f\x00\xc4\x61\x11\
    \x80\xee\xfd\x07";
/// [`TEXT`] by the reference encoder, `zstd -19`, with a checksum.
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd\x04\x68\x6d\x01\x00\x64\x02\x7b\x22\x69\x74\x65\x6d\x73\x22\x3a\x5b\x31\x2c\x32\x2c\
    \x33\x5d\x2c\x22\x74\x69\x74\x6c\x65\x22\x3a\x22\x63\x72\x6f\x73\x73\x66\x61\x64\x65\x20\x22\x7d\x01\x00\x6c\x52\x9e\
    \x75\xa9\x1f\x74";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("a Vec takes all");
    encoder.finish().expect("a Vec takes all")
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("a Vec takes all");
    encoder.finish().expect("a Vec takes all")
}

fn raw_deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("a Vec takes all");
    encoder.finish().expect("a Vec takes all")
}

fn decode_as(coding: &'static str, body: &[u8], cap: usize) -> Result<Vec<u8>, Undecodable> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
    decode(&headers, Cow::Borrowed(body), cap).map(Cow::into_owned)
}

fn samples() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("gzip", gzip(TEXT)),
        ("X-GZip", gzip(TEXT)),
        ("deflate", zlib(TEXT)),
        ("deflate", raw_deflate(TEXT)),
        ("br", BROTLI.to_vec()),
        ("zstd", ZSTD.to_vec()),
        ("identity", TEXT.to_vec()),
        ("", TEXT.to_vec()),
        ("br, gzip", gzip(BROTLI)),
        (
            " deflate ,, identity, gzip,zstd",
            [b"\x28\xb5\x2f\xfd\x00\x58", &raw_zstd_block(&gzip(&zlib(TEXT)))[..]].concat(),
        ),
    ]
}

/// The last block of a zstd frame, stored as it is.
fn raw_zstd_block(bytes: &[u8]) -> Vec<u8> {
    let header = (bytes.len() as u32) << 3 | 1;
    [&header.to_le_bytes()[..3], bytes].concat()
}

#[test]
fn undoes_every_coding_and_stacks_of_them() {
    for (coding, body) in samples() {
        assert_eq!(decode_as(coding, &body, CAP), Ok(TEXT.to_vec()), "{coding}");
    }
    let [first, second] = [&gzip(&TEXT[..20])[..], &gzip(&TEXT[20..])[..]];
    assert_eq!(decode_as("gzip", &[first, second].concat(), CAP), Ok(TEXT.to_vec()), "two members");
}

#[test]
fn undoes_several_zstd_blocks_of_the_reference_encoder() {
    // `zstd -19`: later blocks reuse codes and offsets of earlier ones.
    let sample = include_bytes!("zstd/sample.zst");
    let line = |n: u32| format!("{{\"user\":\"u-{}\",\"items\":[{},{}]}}\n", n * 31 % 97, n % 7, n * n % 11);
    let text: String = (1..=9_000).map(line).collect();
    assert!(decode_as("zstd", sample, CAP) == Ok(text.into_bytes()));
    for length in 0..sample.len() {
        assert_eq!(decode_as("zstd", &sample[..length], CAP), Err(Undecodable::Broken), "cut to {length}");
    }
}

#[test]
fn one_zstd_block_never_claims_more_than_its_limit() {
    // 20 times the literal `x`, then sequences of one literal and 65 539 bytes from 1 back, each in 16 bits.
    let frame = |sequences: u8| {
        let mut block = vec![20 << 3 | 1, b'x', sequences, 0b0101_0100, 1, 0, 52];
        block.resize(block.len() + 2 * usize::from(sequences), 0);
        block.push(1);
        let header = (block.len() as u32) << 3 | 0b101;
        [b"\x28\xb5\x2f\xfd\x00\x58", &header.to_le_bytes()[..3], &block[..]].concat()
    };
    assert_eq!(decode_as("zstd", &frame(1), CAP), Ok(vec![b'x'; 65_539 + 20]));
    assert_eq!(decode_as("zstd", &frame(2), CAP), Err(Undecodable::Broken));
}

#[test]
fn zstd_windows_beyond_http_are_refused() {
    let frame = |window: u8| [&b"\x28\xb5\x2f\xfd\x00"[..], &[window], &raw_zstd_block(TEXT)[..]].concat();
    let [largest, beyond] = [frame(13 << 3), frame(13 << 3 | 1)];
    assert_eq!(decode_as("zstd", &largest, CAP), Ok(TEXT.to_vec()));
    assert_eq!(decode_as("zstd", &beyond, CAP), Err(Undecodable::Broken));
}

#[test]
fn several_header_lines_are_one_list() {
    let mut headers = HeaderMap::new();
    headers.append(header::CONTENT_ENCODING, HeaderValue::from_static("deflate"));
    headers.append(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    let decoded = decode(&headers, Cow::Owned(gzip(&zlib(TEXT))), CAP);
    assert_eq!(decoded.as_deref(), Ok(TEXT));
}

#[test]
fn the_cap_is_exact() {
    for (coding, body) in samples() {
        let cap = body.len().max(TEXT.len()).max(100);
        assert_eq!(decode_as(coding, &body, cap), Ok(TEXT.to_vec()), "{coding}");
        let short = decode_as(coding, &body, TEXT.len() - 1);
        assert_eq!(short, Err(Undecodable::TooLarge), "{coding}");
    }
    assert_eq!(decode_as("gzip", &gzip(TEXT), TEXT.len()), Ok(TEXT.to_vec()));
    assert_eq!(decode_as("zstd", ZSTD, TEXT.len()), Ok(TEXT.to_vec()));
    assert_eq!(decode_as("br", BROTLI, TEXT.len()), Ok(TEXT.to_vec()));
}

#[test]
fn a_bomb_stops_at_the_cap() {
    let zeros = vec![0; 10 << 20];
    for (coding, bomb) in [("gzip", gzip(&zeros)), ("deflate", zlib(&zeros)), ("br", BROTLI_BOMB.to_vec())] {
        assert_eq!(decode_as(coding, &bomb, CAP), Err(Undecodable::TooLarge), "{coding}");
        assert_eq!(decode_as(coding, &bomb, 16 << 20).map(|out| out.len()), Ok(10 << 20), "{coding}");
    }
}

#[test]
fn the_buffer_never_outgrows_the_cap() {
    let mut output = Output::new(1_000);
    while output.push(&[0; 7]).is_ok() {
        assert!(output.bytes.capacity() <= 1_000);
    }
    assert_eq!(output.bytes.len(), 994);
}

#[test]
fn refuses_what_breaks_off_goes_on_or_is_unknown() {
    for (coding, body) in samples().into_iter().filter(|(coding, _)| !matches!(*coding, "identity" | "")) {
        for length in 0..body.len() {
            let cut = decode_as(coding, &body[..length], CAP);
            assert_eq!(cut, Err(Undecodable::Broken), "{coding} cut to {length} of {}", body.len());
        }
        let longer = [&body[..], b"x"].concat();
        assert_eq!(decode_as(coding, &longer, CAP), Err(Undecodable::Broken), "{coding} with a byte too many");
    }
    for coding in ["compress", "gzip, rot13", "gzip;q=1", "gzip gzip"] {
        assert_eq!(decode_as(coding, TEXT, CAP), Err(Undecodable::Broken), "{coding}");
    }
}

#[test]
fn the_number_of_codings_is_bounded() {
    let wrap = |times| (0..times).fold(TEXT.to_vec(), |body, _| gzip(&body));
    assert_eq!(decode_as("gzip,gzip,gzip,gzip", &wrap(4), CAP), Ok(TEXT.to_vec()));
    assert_eq!(decode_as("gzip,gzip,gzip,gzip,gzip", &wrap(5), CAP), Err(Undecodable::Broken));
}

proptest! {
    #[test]
    fn undoes_what_the_encoders_did(bytes in vec(any::<u8>(), 0..50_000)) {
        for (coding, body) in [("gzip", gzip(&bytes)), ("deflate", zlib(&bytes)), ("deflate", raw_deflate(&bytes))] {
            prop_assert_eq!(decode_as(coding, &body, CAP), Ok(bytes.clone()));
        }
    }

    #[test]
    fn undoes_zstd_of_compressible_text(words in vec(0usize..40, 0..20_000), seed in 0usize..7) {
        let vocabulary = [&b"crossfade "[..], b"\"items\":", b"{}", b"0.25,", b"\n", b"recommendation", b"x", b"\\u00e9"];
        let text = words.iter().flat_map(|&word| vocabulary[word * word % (seed + 2)]).copied().collect::<Vec<_>>();
        let body = compress_to_vec(&text[..], CompressionLevel::Fastest);
        prop_assert!(decode_as("zstd", &body, CAP) == Ok(text));
    }

    #[test]
    fn undoes_zstd_of_anything(bytes in vec(any::<u8>(), 0..50_000)) {
        let body = compress_to_vec(&bytes[..], CompressionLevel::Fastest);
        prop_assert!(decode_as("zstd", &body, CAP) == Ok(bytes));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..500), cap in 0usize..2_000) {
        for coding in ["gzip", "deflate", "br", "zstd", "br, deflate"] {
            if let Ok(decoded) = decode_as(coding, &bytes, cap) {
                prop_assert!(decoded.len() <= cap);
            }
        }
    }

    #[test]
    fn damaged_streams_never_panic(which in 0usize..10, at in any::<prop::sample::Index>(), flip in 1u8.., cap in 0usize..2_000) {
        let (coding, mut body) = samples().swap_remove(which);
        let at = at.index(body.len());
        body[at] ^= flip;
        if let Ok(decoded) = decode_as(coding, &body, cap) {
            prop_assert!(decoded.len() <= cap);
        }
    }
}
