//! Writes good input for every target below a directory, a directory for each: what the first run begins with.

use std::{fs, path::PathBuf};

fn main() -> std::io::Result<()> {
    let directory = std::env::args().nth(1).unwrap_or_else(|| "seeds".to_owned());
    for (target, _) in dateline_fuzz::ALL {
        let place = PathBuf::from(&directory).join(target);
        fs::create_dir_all(&place)?;
        for (number, bytes) in dateline_fuzz::seeds::of(target).iter().enumerate() {
            fs::write(place.join(format!("seed-{number:03}")), bytes)?;
        }
    }
    Ok(())
}
