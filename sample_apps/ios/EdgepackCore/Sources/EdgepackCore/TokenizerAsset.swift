// Reads tokenizer.bin (docs/bundle.md of edgepack): "EPTK", a version, six zlib streams behind their sizes.

private let wordPieces: UInt8 = 1  // versions
private let bytePairs: UInt8 = 2
private let streamCount = 6

/// The frame and the model in the bytes of a tokenizer.bin; a `BundleError` where they are damaged.
func readTokenizer(_ data: [UInt8]) throws -> (TokenizerFrame, any TokenModel) {
    guard data.count > 5, data[..<4].elementsEqual("EPTK".utf8) else { throw ByteReader.damaged }
    let version = data[4]
    guard version == wordPieces || version == bytePairs else {
        let known = "\(wordPieces) and \(bytePairs)"
        throw BundleError("tokenizer.bin has version \(version), this app reads \(known); update the app", .unsupported)
    }
    var streams = try split(data[5...]).map { ByteReader(try inflate($0)) }
    if version == wordPieces {
        let model = try WordPieces(&streams)
        return (try TokenizerFrame(&streams[0], size: model.size), model)
    }
    let model = try BytePairs(&streams)
    return (try TokenizerFrame(&streams[0], size: model.size), model)
}

/// The packed streams; not one less, not one more.
private func split(_ data: ArraySlice<UInt8>) throws -> [ArraySlice<UInt8>] {
    var streams = [ArraySlice<UInt8>]()
    var rest = data
    while !rest.isEmpty {
        guard rest.count >= 4, streams.count < streamCount else { throw ByteReader.damaged }
        let size = rest.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
        rest = rest.dropFirst(4)
        guard size <= rest.count else { throw ByteReader.damaged }
        streams.append(rest.prefix(size))
        rest = rest.dropFirst(size)
    }
    guard streams.count == streamCount else { throw ByteReader.damaged }
    return streams
}
