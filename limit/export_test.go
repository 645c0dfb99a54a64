package limit

// Slots is the size of the table.
func (w *Window) Slots() int { return len(w.slots) }
