//! Generated server traits of `dateline.v1`, with the codec for pre-encoded bytes.
#![allow(clippy::all, clippy::pedantic, missing_docs, unused_qualifications)]

include!(concat!(
    env!("OUT_DIR"),
    "/servers/dateline.v1.RecordService.rs"
));
include!(concat!(
    env!("OUT_DIR"),
    "/servers/dateline.v1.EditorialService.rs"
));
include!(concat!(
    env!("OUT_DIR"),
    "/servers/dateline.v1.FeedService.rs"
));
include!(concat!(
    env!("OUT_DIR"),
    "/servers/dateline.v1.AdminService.rs"
));
include!(concat!(
    env!("OUT_DIR"),
    "/servers/dateline.v1.ExportService.rs"
));
include!(concat!(
    env!("OUT_DIR"),
    "/servers/dateline.v1.MatchService.rs"
));
include!(concat!(
    env!("OUT_DIR"),
    "/servers/dateline.v1.SearchService.rs"
));
