//! Exports that are read back: the manifest, and the files that it lists.

use std::io::Cursor;

use dateline_formats::export::{
    Compression, Manifest,
    format::Format,
    layout::MANIFEST,
    manifest::{FileEntry, directory},
    reader,
};
use dateline_proto::v1::{Record, Removal};
use prost::Message;
use sha2::{Digest, Sha256};

use super::chosen;

/// The bytes are a manifest.
pub fn manifests(data: &[u8]) {
    let Ok(manifest) = Manifest::parse(data) else {
        return;
    };
    let written = manifest.to_bytes().expect("it is written");
    assert_eq!(Manifest::parse(&written).as_ref(), Ok(&manifest));
    for file in &manifest.files {
        let name = file.name.as_str();
        assert!(!name.contains(['/', '\\', '\0']), "{name:?}");
        assert!(!name.starts_with('.') && name != MANIFEST, "{name:?}");
    }
    let directory = directory(&manifest.subject);
    assert!(!directory.contains(['/', '.', '\0']), "{directory:?}");
    for format in Format::ALL {
        let parts = manifest.parts(format);
        let listed = parts.iter().map(Vec::len).sum::<usize>();
        let there = manifest.files.iter();
        let there = there.filter(|file| file.format == format && file.holds != "removed");
        assert_eq!(listed, there.count(), "none is left out");
    }
}

/// The first byte selects compression and content of the rest, a file of an export.
pub fn parts(data: &[u8]) {
    let Some((choice, bytes)) = chosen(data) else {
        return;
    };
    let compression = [Compression::None, Compression::Gzip, Compression::Zstd][choice % 3];
    let format = reader::READABLE_FORMATS[choice / 3 % 2];
    if choice / 6 % 2 == 0 {
        read_back::<Record>(bytes, format, compression);
    } else {
        read_back::<Removal>(bytes, format, compression);
    }
}

fn read_back<M>(bytes: &[u8], format: Format, compression: Compression)
where
    M: Message + prost_reflect::ReflectMessage + Default,
{
    let mut count = 0;
    let mut entry = FileEntry {
        name: "part".to_owned(),
        format,
        holds: "actors".to_owned(),
        partition: 0,
        bytes: bytes.len() as u64,
        records: 0,
        sha256: hex::encode(Sha256::digest(bytes)),
    };
    let mut take = |message: M| {
        let encoded = message.encode_to_vec();
        let again = M::decode(encoded.as_slice()).expect("it decodes");
        assert_eq!(again.encode_to_vec(), encoded);
        count += 1;
        // A few bytes may hold very many empty messages.
        count < 10_000
    };
    let told = reader::read(Cursor::new(bytes), &entry, compression, &mut take);
    if count == 10_000 {
        return;
    }
    match told {
        Ok(()) => assert_eq!(count, 0, "the manifest said none"),
        Err(what) => assert!(!what.is_empty()),
    }
    // With the correct count, the file is read if it is valid.
    entry.records = count;
    let mut found = 0;
    let again = reader::read(Cursor::new(bytes), &entry, compression, &mut |_: M| {
        found += 1;
        true
    });
    if again.is_ok() {
        assert_eq!(found, count);
    }
    // One byte more is always an error.
    entry.bytes += 1;
    assert!(reader::read(Cursor::new(bytes), &entry, compression, &mut |_: M| true).is_err());
}
