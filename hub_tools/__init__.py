"""Tools around edit packs on the Hub: sharing them, and a Hub of one's own to share them on."""
