//! Random numbers with an algorithm that never changes (`ChaCha` with 8 rounds), and only whole numbers: a seed gives
//! the same results forever, on every machine.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// One stream of random numbers.
pub(super) struct SeededRng(ChaCha8Rng);

impl SeededRng {
    /// Creates a stream; streams of one seed are independent.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut random = ChaCha8Rng::from_seed(key);
        random.set_stream(stream);
        Self(random)
    }

    /// A number from 0 up to the bound, exclusive; 0 if the bound is 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let product = u128::from(self.0.next_u64()) * bound as u128;
        usize::try_from(product >> 64).unwrap_or_default()
    }

    /// A number between two, both inclusive.
    pub(super) fn between(&mut self, from: i32, until: i32) -> i32 {
        let span = usize::try_from(until - from).unwrap_or_default() + 1;
        from + i32::try_from(self.below(span)).unwrap_or_default()
    }

    /// True with a probability of one in `times`.
    pub(super) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One element of a list that is not empty.
    pub(super) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}
