// Beyond these a tokenizer.bin is damaged: no writer means it, and a small file must not ask for all of a phone's memory.

enum Bounds {
    static let stream = 16 << 20  // bytes unpacked
    static let tokens = 2_000_000
    static let vocabulary = 64 << 20  // bytes of all tokens together
    static let word = 1_000  // letters that are matched
    static let template = 64  // pieces
    static let splitting = 100  // steps
    static let normalizer = 100  // steps
    static let growth = 1_000  // code points that a normalizer may write for one
    static let fold = 64  // code points that one step writes for one
}
