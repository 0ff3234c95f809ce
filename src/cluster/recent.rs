//! What was noted of late.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// How long something is kept where nothing else is said; what it is kept for comes within seconds.
const TTL: Duration = Duration::from_secs(3600);
/// Up to how many entries nobody looks for old ones.
const FEW: usize = 64;

/// Entries of the last hour, or of another time, by key. Old ones go when there are twice as many as the last time.
pub struct Recent<K, V> {
    entries: HashMap<K, (Instant, V)>,
    ttl: Duration,
    clean_at: usize,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self::new(TTL)
    }
}

impl<K, V> Recent<K, V> {
    /// Of entries that are kept for so long.
    pub fn new(ttl: Duration) -> Self {
        Self { entries: HashMap::new(), ttl, clean_at: FEW }
    }
}

impl<K: Eq + Hash, V> Recent<K, V> {
    /// In place of an earlier one of its key.
    pub fn insert(&mut self, key: K, value: V) {
        if self.entries.len() >= self.clean_at {
            self.entries.retain(|_, (since, _)| since.elapsed() < self.ttl);
            self.clean_at = FEW.max(2 * self.entries.len());
        }
        self.entries.insert(key, (Instant::now(), value));
    }

    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key).filter(|(since, _)| since.elapsed() < self.ttl).map(|(_, value)| value)
    }

    /// How long an entry is kept already.
    pub fn age<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<Duration>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key).map(|(since, _)| since.elapsed())
    }

    /// The keys of those that are kept.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.entries.iter().filter(|(_, (since, _))| since.elapsed() < self.ttl).map(|(key, _)| key)
    }

    /// How many are kept.
    pub fn count(&mut self) -> usize {
        self.entries.retain(|_, (since, _)| since.elapsed() < self.ttl);
        self.entries.len()
    }

    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.entries.remove(key).filter(|(since, _)| since.elapsed() < self.ttl).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_entries_go_as_new_ones_come() {
        let mut recent = Recent::default();
        for key in 0..FEW {
            recent.insert(key, key);
        }
        let Some(long_ago) = Instant::now().checked_sub(TTL) else { return }; // a machine that just started
        recent.entries.values_mut().skip(1).for_each(|(since, _)| *since = long_ago);
        recent.insert(FEW, FEW);
        assert_eq!(recent.entries.len(), 2);
        recent.insert(1, 1);
        recent.entries.get_mut(&1).unwrap().0 = long_ago;
        assert_eq!(recent.get(&1), None, "too old, though it is still there");
        assert_eq!(recent.get(&FEW), Some(&FEW));
        assert_eq!((recent.remove(&FEW), recent.remove(&FEW)), (Some(FEW), None));
    }
}
