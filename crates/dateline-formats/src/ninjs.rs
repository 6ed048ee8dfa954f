//! Terms of ninjs that exports write and imports read.

/// Base of the URIs of IPTC's media topics, without the scheme.
pub(crate) const MEDIA_TOPICS: &str = "cv.iptc.org/newscodes/mediatopic";
/// Prefix of a media topic in records.
pub(crate) const MEDIA_TOPIC_PREFIX: &str = "medtop:";

/// Role of the alternative id that holds a record's uid.
pub(crate) const UID: &str = "uid";
/// Role of the hash of the text as received.
pub(crate) const ORIGINAL_SHA256: &str = "originalSha256";
/// Role of the URL where the article was published.
pub(crate) const SOURCE_URL: &str = "sourceUrl";
/// Role of the URI of the item that an article was made from.
pub(crate) const SOURCE_ITEM: &str = "sourceItem";
/// Role of the version of that item.
pub(crate) const SOURCE_ITEM_VERSION: &str = "sourceItemVersion";

/// Roles of all alternative ids that exports write.
pub(crate) const ALTERNATIVE_IDS: [&str; 5] = [
    UID,
    ORIGINAL_SHA256,
    SOURCE_URL,
    SOURCE_ITEM,
    SOURCE_ITEM_VERSION,
];
