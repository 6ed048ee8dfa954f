//! Mutations of bytes: a few small random changes to good input, reproducible by seed.

use rand::{RngExt, rngs::StdRng};

/// Maximum length of an input.
const LONGEST: usize = 64 * 1024;

/// Numbers on which code tends to fail, as bytes of a varint and as text.
const ODD: [&[u8]; 16] = [
    b"\0",
    b"\xff",
    b"\x7f",
    b"\x80\x01",
    b"\xff\xff\xff\xff\x0f",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"9223372036854775807",
    b"-1",
    b"1e400",
    b"\xed\xa0\x80",
    "\u{202e}\u{0}\u{1b}[2J".as_bytes(),
    "e\u{301}\u{323}\u{200d}👍".as_bytes(),
    b"../",
    b"\x0a\x00",
    b"[[[[{\"a\":",
];

/// Changes good bytes at one to four positions; parts of `other` may be spliced in.
pub fn mutated(good: &[u8], other: &[u8], lot: &mut StdRng) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for _ in 0..lot.random_range(1..=4) {
        change(&mut bytes, other, lot);
        bytes.truncate(LONGEST);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, other: &[u8], lot: &mut StdRng) {
    let at = lot.random_range(0..=bytes.len());
    let end = (at + lot.random_range(1..=16)).min(bytes.len());
    match lot.random_range(0..9) {
        0 => flip(bytes, lot),
        1 if at < bytes.len() => bytes[at] = lot.random(),
        2 => drop(bytes.drain(at..end)),
        3 => bytes.truncate(at),
        4 => {
            let again = bytes[at..end].to_vec();
            bytes.splice(at..at, again.repeat(lot.random_range(1..=64)));
        }
        5 => {
            let odd = ODD[lot.random_range(0..ODD.len())];
            bytes.splice(at..end, odd.iter().copied());
        }
        6 => {
            let odd = ODD[lot.random_range(0..ODD.len())];
            bytes.splice(at..at, odd.iter().copied());
        }
        7 if !other.is_empty() => {
            let from = lot.random_range(0..other.len());
            let length = lot.random_range(1..=other.len() - from);
            bytes.splice(at..end, other[from..from + length].iter().copied());
        }
        _ => bytes.insert(at, lot.random()),
    }
}

fn flip(bytes: &mut [u8], lot: &mut StdRng) {
    if !bytes.is_empty() {
        let at = lot.random_range(0..bytes.len());
        bytes[at] ^= 1 << lot.random_range(0..8);
    }
}
