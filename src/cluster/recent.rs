//! What was noted of late.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// How long something is kept; what it is kept for comes within seconds.
const TTL: Duration = Duration::from_secs(3600);
/// Up to how many entries nobody looks for old ones.
const FEW: usize = 64;

/// Entries of the last hour, by key. Old ones go when there are twice as many as the last time.
pub struct Recent<K, V> {
    entries: HashMap<K, (Instant, V)>,
    clean_at: usize,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self { entries: HashMap::new(), clean_at: FEW }
    }
}

impl<K: Eq + Hash, V> Recent<K, V> {
    /// In place of an earlier one of its key.
    pub fn insert(&mut self, key: K, value: V) {
        if self.entries.len() >= self.clean_at {
            self.entries.retain(|_, (since, _)| since.elapsed() < TTL);
            self.clean_at = FEW.max(2 * self.entries.len());
        }
        self.entries.insert(key, (Instant::now(), value));
    }

    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key).map(|(_, value)| value)
    }

    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.entries.remove(key).map(|(_, value)| value)
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
        assert_eq!(recent.get(&FEW), Some(&FEW));
        assert_eq!((recent.remove(&FEW), recent.remove(&FEW)), (Some(FEW), None));
    }
}
