// Reads tokenizer.bin (docs/bundle.md of edgepack): "EPTK", a version, zlib streams behind their sizes.

private let versions: ClosedRange<UInt8> = 1...2
private let mostStreams = 7

/// The frame and the model in the bytes of a tokenizer.bin; a `BundleError` where they are damaged.
func readTokenizer(_ data: [UInt8]) throws -> (TokenizerFrame, any TokenModel) {
    guard data.count > 5, data[..<4].elementsEqual("EPTK".utf8) else { throw ByteReader.damaged }
    let version = data[4]
    guard versions ~= version else {
        let known = "\(versions.lowerBound) and \(versions.upperBound)"
        throw BundleError("tokenizer.bin has version \(version), this app reads \(known); update the app", .unsupported)
    }
    var streams = try split(data[5...]).map { ByteReader(try inflate($0, limit: Bounds.stream)) }
    let model = try readModel(&streams, version)
    return (try TokenizerFrame(&streams[0], size: model.size), model)
}

/// The model of the kind that the header says; of the header the frame is left.
private func readModel(_ streams: inout [ByteReader], _ version: UInt8) throws -> any TokenModel {
    guard !streams.isEmpty else { throw ByteReader.damaged }
    switch version == 1 ? 0 : try streams[0].number() {
    case 0 where streams.count == 6: return try WordPieces(&streams)
    case 1 where 6...7 ~= streams.count: return try BytePairs(&streams)
    case 2 where 5...6 ~= streams.count: return try Unigram(&streams)
    default: throw ByteReader.damaged
    }
}

/// The packed streams.
private func split(_ data: ArraySlice<UInt8>) throws -> [ArraySlice<UInt8>] {
    var streams = [ArraySlice<UInt8>]()
    var rest = data
    while !rest.isEmpty {
        guard rest.count >= 4, streams.count < mostStreams else { throw ByteReader.damaged }
        let size = rest.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
        rest = rest.dropFirst(4)
        guard size <= rest.count else { throw ByteReader.damaged }
        streams.append(rest.prefix(size))
        rest = rest.dropFirst(size)
    }
    return streams
}
