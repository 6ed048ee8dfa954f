//! Lines that web pages put around a text: buttons, banners and navigation.

/// Lines that web pages put around a text, in lower case, without final punctuation. A line must match as a whole, and
/// at an end of the text, where hardly any headline or paragraph matches.
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
    // Navigation
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

/// Beginnings of lines that are furniture whatever follows: teasers and banners.
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

/// True if a line is one of [`FURNITURE`]. Also valid before lines are joined.
pub(super) fn is_furniture_as_a_whole(line: &str) -> bool {
    let line = line.trim().to_lowercase();
    let line = line.trim_end_matches(|found: char| !found.is_alphanumeric());
    FURNITURE.contains(&line)
}

/// True if a line is furniture, or begins like a banner. Its lines must be joined before: the rest of a wrapped banner
/// looks like text.
pub(super) fn is_furniture(line: &str) -> bool {
    let lower = line.trim_start().to_lowercase();
    is_furniture_as_a_whole(line)
        || FURNITURE_BEGINNINGS
            .iter()
            .any(|beginning| lower.starts_with(beginning))
}
