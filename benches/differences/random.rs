//! Numbers that can be drawn again: each stream follows from its seed.

/// `SplitMix64` (Steele, Lea, Flood, 2014).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn chance(&mut self, share: f64) -> bool {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64 <= share
    }

    pub(crate) fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.below(words.len() as u64) as usize]
    }

    pub(crate) fn word(&mut self) -> String {
        (0..4 + self.below(6)).map(|_| char::from(b'a' + self.below(26) as u8)).collect()
    }

    pub(crate) fn name(&mut self) -> String {
        format!("{} {}", self.word(), self.word())
    }

    pub(crate) fn uuid(&mut self) -> String {
        let (a, b) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            a >> 32,
            a & 0xffff,
            (a >> 16) & 0xfff,
            b >> 52,
            b & 0xffff_ffff_ffff
        )
    }

    /// An instant in RFC 3339, to the second.
    pub(crate) fn instant(&mut self) -> String {
        jiff::Timestamp::from_second(1_600_000_000 + self.below(1 << 28).cast_signed()).expect("an instant").to_string()
    }

    /// Between 0 and 1000, with two decimals.
    pub(crate) fn price(&mut self) -> f64 {
        (1 + self.below(99_999)) as f64 / 100.0
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at as u64 + 1) as usize);
        }
    }
}
