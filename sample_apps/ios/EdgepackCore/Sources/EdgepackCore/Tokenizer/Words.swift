// The words of a text as a teacher of token classification saw them: what stands between spaces, punctuation at its
// ends and ideographs by themselves. One rule for every kind of tokenizer, by the tokens' offsets alone; tokens are never
// cut: what one holds together, or tokens that overlap, is one word (docs/bundle.md of edgepack, "Words and entities").

extension Tokenizer {
    /// The words of a text that `encode` gave these tokens for.
    public func words(_ text: String, _ encoding: Encoding) -> [Word] {
        let own = encoding.sequences.indices.filter { encoding.sequences[$0] == 0 }
        let finder = WordFinder(points: model.points, text: text.unicodeScalars.map(\.value))
        return finder.words(own.map { ($0, encoding.offsetsCodePoint[$0]) })
    }
}

struct WordFinder {
    let points: PointTable
    let text: [UInt32]

    /// The words of tokens in their order: their indices, and where they stand.
    func words(_ tokens: [(index: Int, range: Range<Int>)]) -> [Word] {
        var groups = [[Word]]()
        for unit in units(tokens) {
            if let before = groups.last?.last, !isApart(before, unit) {
                groups[groups.count - 1].append(unit)
            } else {
                groups.append([unit])
            }
        }
        return groups.flatMap(joined)
    }

    /// Tokens without the spaces at their ends, those that overlap as one. A token of spaces is none, but the first
    /// token of what it stands before, where it is that one's own space.
    private func units(_ tokens: [(index: Int, range: Range<Int>)]) -> [Word] {
        var found = [Word]()
        var blank: Int?  // where the token before ends, if that is one of spaces
        for (index, range) in tokens {
            let core = withoutSpaces(range)
            if core.isEmpty {
                blank = range.upperBound
                continue
            }
            if let last = found.last, core.lowerBound < last.range.upperBound {
                let end = max(last.range.upperBound, core.upperBound)
                found[found.count - 1] = Word(firstToken: last.firstToken, range: last.range.lowerBound..<end)
            } else {
                found.append(Word(firstToken: isOwnSpace(blank, core.lowerBound) ? index - 1 : index, range: core))
            }
            blank = nil
        }
        return found
    }

    private func withoutSpaces(_ range: Range<Int>) -> Range<Int> {
        var (start, end) = (range.lowerBound, range.upperBound)
        while start < end, has(PointTable.space, start) { start += 1 }
        while start < end, has(PointTable.space, end - 1) { end -= 1 }
        return start..<end
    }

    /// Whether a token of spaces that ends at `blank` is spelled with the word at `start`. One that ends behind it, or
    /// at the start of the text, is not in the text: the tokenizer has put it first.
    private func isOwnSpace(_ blank: Int?, _ start: Int) -> Bool {
        guard let blank, blank >= start else { return false }
        return blank > start || start == 0 || text[start - 1] == 0x20
    }

    /// Whether a word ends between two units.
    private func isApart(_ before: Word, _ unit: Word) -> Bool {
        let (end, start) = (before.range.upperBound, unit.range.lowerBound)
        if has(PointTable.padded, end - 1) || has(PointTable.padded, start) { return true }
        return (end..<start).contains { has(PointTable.space, $0) }
    }

    /// A group as one word, with the punctuation at its ends as words beside it.
    private func joined(_ group: [Word]) -> [Word] {
        let isMark = { (unit: Word) in unit.range.allSatisfy { has(PointTable.punctuation, $0) } }
        let head = group.prefix(while: isMark)
        let rest = group.dropFirst(head.count)
        let tail = rest.suffix(rest.reversed().prefix(while: isMark).count)
        let middle = rest.dropLast(tail.count)
        guard let first = middle.first, let last = middle.last else { return group }
        return Array(head) + [Word(firstToken: first.firstToken, range: first.range.lowerBound..<last.range.upperBound)]
            + tail
    }

    private func has(_ flag: UInt8, _ place: Int) -> Bool { points[text[place]] & flag != 0 }
}
