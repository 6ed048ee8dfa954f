//! Rebuilds when the migrations or the metadata of the checked queries change.

fn main() {
    for watched in ["../../migrations", "../../sql", "../../.sqlx"] {
        println!("cargo:rerun-if-changed={watched}");
    }
}
