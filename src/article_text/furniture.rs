//! Lines that pages put around a text: buttons, banners, and ways to other pages.

/// Lines that pages put around a text, in lower case, without punctuation at the end. A line has to be one
/// of them as a whole, and at an end of the text, where hardly any headline or paragraph is one.
const FURNITURE: [&str; 52] = [
    // Comments
    "comments are closed",
    "comments are off for this post",
    "comments",
    "no comments",
    "no comments yet",
    "leave a comment",
    "leave a reply",
    "add a comment",
    "post a comment",
    "view comments",
    // Sharing, and the buttons under it
    "share",
    "share this",
    "share this article",
    "share this post",
    "share this story",
    "share on facebook",
    "share on twitter",
    "share on x",
    "share on linkedin",
    "share on whatsapp",
    "share on telegram",
    "copy link",
    "facebook",
    "twitter",
    "linkedin",
    "whatsapp",
    "telegram",
    "tweet",
    "like this",
    "loading",
    "print",
    "print this article",
    "email this article",
    // Advertisements
    "advertisement",
    "advertisements",
    "sponsored content",
    "story continues below advertisement",
    // Ways to other pages
    "related",
    "related posts",
    "related articles",
    "related stories",
    "you may also like",
    "read more",
    "read next",
    "continue reading",
    "skip to content",
    "skip to main content",
    "back to top",
    // Newsletters and consent
    "sign up for our newsletter",
    "subscribe to our newsletter",
    "accept all",
    "accept all cookies",
];

/// How lines begin that are furniture whatever follows: teasers and banners.
const FURNITURE_BEGINNINGS: [&str; 10] = [
    "read more:",
    "read also:",
    "related:",
    "see also:",
    "we use cookies",
    "this site uses cookies",
    "this website uses cookies",
    "our site uses cookies",
    "our website uses cookies",
    "by continuing to use this",
];

/// Whether a line is one of [`FURNITURE`]. Safe to ask before lines are joined.
pub(super) fn is_furniture_as_a_whole(line: &str) -> bool {
    let line = line.trim().to_lowercase();
    let line = line.trim_end_matches(|found: char| !found.is_alphanumeric());
    FURNITURE.contains(&line)
}

/// Whether a line is furniture, or begins as a banner does: then all of its lines have to be joined, for
/// the rest of a wrapped banner looks like text.
pub(super) fn is_furniture(line: &str) -> bool {
    let lower = line.trim_start().to_lowercase();
    is_furniture_as_a_whole(line)
        || FURNITURE_BEGINNINGS
            .iter()
            .any(|beginning| lower.starts_with(beginning))
}
