package pages

// forgetNone forgets what the pages do not have. The caller holds mu.
func (t *Tables) forgetNone() {
	clear(t.none)
	t.gap = gap{}
}

// gap is a stretch of keys that no page has an entry for: a batch writes keys that stand together, and most of them are new.
type gap struct {
	table    byte
	from, to string // from is in it; to, where there is one, only where it is the fence of the page
	end      gapEnd
}

type gapEnd uint8

const (
	noGap   gapEnd = iota
	open           // there is nothing behind it
	atEntry        // to is the next entry
	atFence        // to is the page's fence
)

func (g *gap) has(table byte, key string) bool {
	if g.end == noGap || table != g.table || key < g.from {
		return false
	}
	return g.end == open || key < g.to || g.end == atFence && key == g.to
}

// noEntry remembers that a page has no entry from a key up to that at i: what is known of where the page begins is the key itself.
func (t *Tables) noEntry(p *page, key string, i int, flushes uint64) {
	g := gap{table: p.row[1], from: key}
	switch {
	case i < p.count:
		g.to, g.end = string(p.keyAt(i)), atEntry
	case p.last:
		g.end = open
	default:
		g.to, g.end = p.fence, atFence
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.flushes == flushes {
		t.gap = g
	}
}
