// Manifest, files, decisions and the classifier over a runtime that only counts.
import XCTest

@testable import EdgepackCore

struct FakeRuntime: ModelRuntime {
    let name = "fake"
    var version = "1.16"
    var obstacle: String?
    var rows: @Sendable (ModelInputs) -> [Float] = { _ in [0, 1] }

    struct Session: ModelSession {
        let rows: @Sendable (ModelInputs) -> [Float]
        func logits(_ inputs: ModelInputs) throws -> [Float] { rows(inputs) }
    }

    func load(_ model: URL, _ manifest: Manifest) throws -> ModelSession { Session(rows: rows) }
}

final class BundleTests: XCTestCase {
    private let files = ["tokenizer.bin": Fixtures.tokenizer(), "onnx/model.onnx": Array("model".utf8)]

    func testAManifestIsRead() throws {
        let manifest = try Manifest.read(Data(Fixtures.manifest(files).utf8))
        XCTAssertEqual(manifest.task, .textClassification)
        XCTAssertEqual(manifest.maxLength, 8)
        XCTAssertEqual(manifest.modelFiles.map(\.path), ["onnx/model.onnx"])
        XCTAssertEqual(manifest.metrics["artifact"]?.n, 10)
    }

    func testAManifestThatCannotBeUsedSaysWhy() {
        let good = Fixtures.manifest(files)
        let spoiled = [
            (good.replacingOccurrences(of: "\"schema\": 1", with: "\"schema\": 2"), "schema 2"),
            (good.replacingOccurrences(of: "\"max_length\": 8,", with: ""), "max_length"),
            (good.replacingOccurrences(of: "\"max_length\": 8", with: "\"max_length\": 0"), "maximum length"),
            (good.replacingOccurrences(of: "text-classification", with: "translation"), "task"),
            (good.replacingOccurrences(of: "tokenizer.bin", with: "tokenizer.json"), "tokenizer.bin"),
            (good.replacingOccurrences(of: "onnx/model", with: "../model"), "damaged record of ../model"),
            ("{", "the document"),
            ("[]", "the document"),
        ]
        for (text, expected) in spoiled {
            let found = message { _ = try Manifest.read(Data(text.utf8)) }
            XCTAssert(found.contains(expected), found)
        }
    }

    func testFilesAreComparedWithTheManifest() throws {
        let bundle = try Fixtures.bundle(self, files)
        XCTAssertEqual(try bundle.shippedModel().lastPathComponent, "model.onnx")
        let model = bundle.assets.appendingPathComponent("onnx/model.onnx")
        try Data("mod".utf8).write(to: model)
        XCTAssert(message { _ = try bundle.shippedModel() }.contains("has 3 bytes, it must have 5"))
        try FileManager.default.removeItem(at: model)
        XCTAssert(message { _ = try bundle.shippedModel() }.contains("is missing"))
    }

    func testAnAlteredFileIsFoundTheFirstTimeAndTheHashIsTakenOnce() throws {
        let altered = try Fixtures.bundle(self, files)
        let place = altered.assets.appendingPathComponent("onnx/model.onnx")
        try Data("Model".utf8).write(to: place)
        XCTAssert(message { _ = try altered.shippedModel() }.contains("is not the file that was checked"))
        let bundle = try Fixtures.bundle(self, files)
        _ = try bundle.shippedModel()
        try Data("Model".utf8).write(to: bundle.assets.appendingPathComponent("onnx/model.onnx"))
        XCTAssertNoThrow(try bundle.shippedModel())  // of its size, and hashed before
        _ = try bundle.tokenizer()
        let record = try String(contentsOf: bundle.storage.appendingPathComponent("hashed.txt"), encoding: .utf8)
        XCTAssertEqual(record.split(separator: "\n").count, 2)
    }

    func testAModelThatIsAFolder() throws {
        let package = [
            "m/model.mlpackage/Manifest.json": [UInt8](), "m/model.mlpackage/Data/a/w.bin": [1], "tokenizer.bin": [2],
        ]
        let bundle = try Fixtures.bundle(self, package)
        XCTAssertEqual(try bundle.shippedModel().lastPathComponent, "model.mlpackage")
    }

    func testNoManifest() throws {
        let folder = try Fixtures.folder(self)
        XCTAssert(message { _ = try BundleFiles(assets: folder, storage: folder) }.contains("edgepack.json is missing"))
    }

    func testAClassifierRanksLabels() async throws {
        let bundle = try Fixtures.bundle(self, files)
        let classifier = try await Classifier(bundle, model: try bundle.shippedModel(), runtimes: [FakeRuntime()])
        let answer = try await classifier.answer("good films")
        guard case .labels(let found) = answer.content else { return XCTFail("no labels") }
        XCTAssertEqual(found.map(\.label), ["yes", "no"])
        XCTAssertEqual(found[0].probability, 1 / (1 + exp(-1)), accuracy: 1e-12)
        XCTAssertEqual(answer.tokenCount, 5)
        XCTAssertGreaterThan(answer.milliseconds, 0)
    }

    func testAClassifierFindsEntities() async throws {
        let labels = ["O", "B-x", "I-x"]
        let text = Fixtures.manifest(files, task: "token-classification", labels: labels)
        let bundle = try Fixtures.bundle(self, files, manifest: text)
        let runtime = FakeRuntime { inputs in
            inputs.inputIDs.flatMap { id -> [Float] in id == 5 ? [0, 9, 0] : id == 6 ? [0, 0, 8] : [9, 0, 0] }
        }
        let classifier = try await Classifier(bundle, model: try bundle.shippedModel(), runtimes: [runtime])
        guard case .entities(let found) = try await classifier.answer("a good films a").content else {
            return XCTFail("no entities")
        }
        XCTAssertEqual(found.map(\.type), ["x"])
        XCTAssertEqual(found[0].range, 2..<12)
        XCTAssertEqual(found[0].probability, softmax([0, 0, 8])[2], accuracy: 1e-12)
    }

    func testAClassifierFindsLabelSetsPerhapsEmptyOnes() async throws {
        let sets = #""problem": "multi_label_classification", "thresholds": [0.5, 0.6], "#
        let bundle = try Fixtures.bundle(self, files, manifest: Fixtures.manifest(files, more: sets))
        for (logits, expected) in [([0, 2], ["yes", "no"]), ([-1, 0.4], []), ([1, -1], ["no"])] as [([Float], [String])] {
            let runtime = FakeRuntime { _ in logits }
            let classifier = try await Classifier(bundle, model: try bundle.shippedModel(), runtimes: [runtime])
            guard case .labelSet(let found) = try await classifier.answer("good films").content else {
                return XCTFail("no label set")
            }
            XCTAssertEqual(found.map(\.label), expected)
        }
        XCTAssertEqual(sigmoid(0), 0.5)
        for wrong in ["", #""thresholds": [0.5], "#, #""thresholds": [0, 0.5], "#, #""thresholds": [0.5, 1], "#] {
            let text = Fixtures.manifest(files, more: #""problem": "multi_label_classification", "# + wrong)
            XCTAssert(message { _ = try Manifest.read(Data(text.utf8)) }.contains("no threshold"))
        }
        let other = Fixtures.manifest(files, more: #""problem": "ranking", "#)
        XCTAssert(message { _ = try Manifest.read(Data(other.utf8)) }.contains("problem"))
    }

    func testAModelThatGivesOtherNumbersOrAnotherRuntime() async throws {
        let bundle = try Fixtures.bundle(self, files)
        for rows: [Float] in [[], [1], [1, 2, 1, 2], [.nan, 1], [.infinity, 1]] {
            let refusal = await refusal(bundle, [FakeRuntime { _ in rows }])
            XCTAssert(refusal.contains("other numbers"), refusal)
        }
        let none = await refusal(bundle, [])
        XCTAssert(none.contains("the model is for fake"), none)
        let older = await refusal(bundle, [FakeRuntime(version: "1.9") { _ in [1, 0] }])
        XCTAssert(older.contains("the model needs fake 1.16, this app has 1.9"), older)
    }

    func testARuntimeOfTheSystemAsksForANewerSystem() async throws {
        let text = Fixtures.manifest(files).replacingOccurrences(of: #""min_version": "1.16""#, with: #""min_version": "iOS 27""#)
        let bundle = try Fixtures.bundle(self, files, manifest: text)
        let older = await refusal(bundle, [FakeRuntime(version: "26.1")])
        XCTAssertEqual(older, "the model needs iOS 27, this device has 26.1; update the device")
        _ = try await Classifier(bundle, model: try bundle.shippedModel(), runtimes: [FakeRuntime(version: "27.0")])
    }

    func testOfSeveralBundlesTheFirstThatRunsHereIsTaken() throws {
        let newest = try Fixtures.bundle(
            self, files, manifest: Fixtures.manifest(files).replacingOccurrences(of: #"": "1.16""#, with: #"": "iOS 27""#))
        let older = try Fixtures.bundle(self, files)
        let storage = try Fixtures.folder(self)
        func taken(_ runtimes: [ModelRuntime]) throws -> URL {
            try BundleFiles.first(of: [newest.assets, older.assets], storage: storage, runtimes: runtimes).assets
        }
        XCTAssertEqual(try taken([FakeRuntime(version: "27.0")]), newest.assets)
        XCTAssertEqual(try taken([FakeRuntime(version: "18.0")]), older.assets)
        XCTAssertEqual(message { _ = try taken([FakeRuntime(version: "27.0", obstacle: "it is not here")]) }, "it is not here")
        let none = message { _ = try taken([FakeRuntime(version: "1.9")]) }
        XCTAssertEqual(none, "the model needs iOS 27, this device has 1.9; update the device")
        try Data("{".utf8).write(to: newest.assets.appendingPathComponent("edgepack.json"))
        XCTAssert(message { _ = try taken([FakeRuntime(version: "18.0")]) }.contains("the document"))  // damaged, not too new
    }

    /// What is said where the model of a bundle cannot be used.
    private func refusal(_ bundle: BundleFiles, _ runtimes: [ModelRuntime]) async -> String {
        await message { _ = try await Classifier(bundle, model: try bundle.shippedModel(), runtimes: runtimes) }
    }

    func testVersionsCompareAsNumbers() {
        for (version, other) in [("1.9", "1.16"), ("1.16", "1.16.1"), ("17.5", "iOS 18"), ("", "1")] {
            XCTAssert(isOlder(version, than: other))
            XCTAssertFalse(isOlder(other, than: version))
        }
        XCTAssertFalse(isOlder("18", than: "iOS 18.0"))
    }

    func testEntitiesByConllsRule() throws {
        let words = (0..<7).map { Word(firstToken: $0, range: 10 * $0..<10 * $0 + 5) }
        let tags = try ["I-a", "I-a", "B-a", "I-b", "O", "I-b", "B-b"].map { Tag(mark: try Mark($0, .bio), probability: 0.5) }
        let found = entities(words, tags)
        XCTAssertEqual(found.map(\.type), ["a", "a", "b", "b", "b"])
        XCTAssertEqual(found.map(\.range), [0..<15, 20..<25, 30..<35, 50..<55, 60..<65])
    }

    /// Tags of every scheme, and what they mark by the reference; edgepack's own tests name the file.
    func testTagsOfEverySchemeAreReadAsByTheReference() throws {
        struct Line: Decodable {
            let scheme: TagScheme
            let labels: [String]
            let tags: [Int]
            let entities: [[Part]]
        }
        enum Part: Decodable, Equatable {
            case kind(String), place(Int)

            init(from decoder: Decoder) throws {
                let container = try decoder.singleValueContainer()
                if let place = try? container.decode(Int.self) { self = .place(place) } else {
                    self = .kind(try container.decode(String.self))
                }
            }
        }
        let lines = try referenceLines("EDGEPACK_ENTITIES")
        for text in lines {
            let line = try JSONDecoder().decode(Line.self, from: Data(text.utf8))
            let marks = try line.labels.map { try Mark($0, line.scheme) }
            let words = line.tags.indices.map { Word(firstToken: $0, range: $0..<$0 + 1) }
            let tags = line.tags.enumerated().map { Tag(mark: marks[$1], probability: 1 / Double($0 + 2)) }
            let found = entities(words, tags)
            let parts = found.map { [Part.kind($0.type), .place($0.range.lowerBound), .place($0.range.upperBound)] }
            XCTAssertEqual(parts, line.entities, String(text))
            for entity in found { XCTAssertEqual(entity.probability, 1 / Double(entity.range.upperBound + 1)) }
        }
        print("compared \(lines.count) lines of tags")
    }

    /// When a model is sure, and how labels of one's own are judged, by the reference; edgepack's own tests name the file.
    func testDecisionsAreTheReferences() throws {
        struct Line: Decodable {
            let logits: [Float]?
            let temperature: Double?
            let min_confidence: Double?
            let label: Int?
            let probability: Double?
            let sure: Bool?
            let classes: [String]?
            let rows: [[Float]]?
            let multi_label: Bool?
            let scores: [Double]?
        }
        let lines = try referenceLines("EDGEPACK_DECISIONS")
        for text in lines {
            let line = try JSONDecoder().decode(Line.self, from: Data(text.utf8))
            if let logits = line.logits {
                let found = ranked(logits, logits.indices.map(String.init), temperature: try XCTUnwrap(line.temperature))
                XCTAssertEqual(found[0].label, String(try XCTUnwrap(line.label)))
                XCTAssertEqual(found[0].probability, try XCTUnwrap(line.probability), accuracy: 1e-6)
                XCTAssertEqual(isSure(found, minConfidence: line.min_confidence), line.sure)
            } else {
                let entailment = try XCTUnwrap(Entailment(judging(try XCTUnwrap(line.classes))))
                let (rows, scores) = (try XCTUnwrap(line.rows), try XCTUnwrap(line.scores))
                let several = try XCTUnwrap(line.multi_label)
                let found = entailment.judged(rows, rows.indices.map(String.init), severalTrue: several)
                XCTAssertEqual(found.count, scores.count)
                for each in found {
                    XCTAssertEqual(each.probability, scores[try XCTUnwrap(Int(each.label))], accuracy: 1e-6)
                }
            }
        }
        print("compared \(lines.count) decisions")
    }

    /// Lines of the file that an environment variable names; a skip where there is none.
    private func referenceLines(_ variable: String) throws -> [Substring] {
        guard let path = ProcessInfo.processInfo.environment[variable] else { throw XCTSkip("no \(variable)") }
        return try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
    }

    /// Tags decided together by the reference, and damaged chains; edgepack's own tests name the file.
    func testTagsOfChainsAreTheReferences() throws {
        struct Line: Decodable {
            let chain: String
            let count: Int
            let temperature: Double?
            let firsts: [Int]?
            let logits: [[Float]]?
            let tags: [Int]?
            let probabilities: [Double]?
        }
        let lines = try referenceLines("EDGEPACK_CHAINS")
        for text in lines {
            let line = try JSONDecoder().decode(Line.self, from: Data(text.utf8))
            let given = tagging((0..<line.count).map { "B-\($0)" }, chain: line.chain)
            guard let expected = line.tags else {
                let found = message { _ = try Manifest.read(Data(given.utf8)) }
                let isNamed = found.contains("chain") || line.chain.contains("1e999")  // which is no number of Foundation's
                XCTAssert(isNamed && found.contains("install the app again"), "\(line.chain): \(found)")
                continue
            }
            let manifest = try Manifest.read(Data(given.utf8))
            let chain = try TagChain(try XCTUnwrap(manifest.chain), count: line.count)
            let (logits, firsts) = (try XCTUnwrap(line.logits), try XCTUnwrap(line.firsts))
            let marks = try manifest.labels.map { try Mark($0, .bio) }
            let found = tags(firsts.map { logits[$0] }, marks, temperature: line.temperature ?? 1, chain: chain)
            XCTAssertEqual(found.map(\.mark.kind), expected.map(String.init), String(text))
            for (tag, probability) in zip(found, try XCTUnwrap(line.probabilities)) {
                XCTAssertEqual(tag.probability, probability, accuracy: 1e-9)
            }
        }
        print("compared \(lines.count) chains")
    }

    private func tagging(_ labels: [String], chain: String) -> String {
        Fixtures.manifest(files, task: "token-classification", labels: labels, more: #""chain": \#(chain), "#)
    }

    func testAChainDecidesTheTagsOfATextsWordsTogether() async throws {
        let found = { [files] (more: String) in
            let text = Fixtures.manifest(files, task: "token-classification", labels: ["O", "B-x", "I-x"], more: more)
            let bundle = try Fixtures.bundle(self, files, manifest: text)
            let runtime = FakeRuntime { inputs in
                inputs.inputIDs.flatMap { id -> [Float] in id == 5 ? [0.5, 0, 0] : id == 6 ? [0, 0, 1] : [9, 0, 0] }
            }
            let classifier = try await Classifier(bundle, model: try bundle.shippedModel(), runtimes: [runtime])
            guard case .entities(let found) = try await classifier.answer("a good films").content else { return [] }
            return found.map(\.range)
        } as (String) async throws -> [Range<Int>]
        let alone = try await found("")
        XCTAssertEqual(alone, [7..<12])
        let together = try await found(#""chain": {"unseen": -5, "pairs": ["0 1 2.0", "1 2 2.0", "3 0 0", "2 3 0"]}, "#)
        XCTAssertEqual(together, [2..<12])
    }

    func testAChainIsOfTagsOfWords() throws {
        let text = Fixtures.manifest(files, more: #""chain": {"unseen": -5, "pairs": []}, "#)
        XCTAssert(message { _ = try Manifest.read(Data(text.utf8)) }.contains("a chain of tags and none of words"))
        for (chain, expected) in [
            (#"{"unseen": -5, "pairs": ["0 3 1.0"]}"#, "0 3 1.0 is no pair of 2 tags and its score"),
            (#"{"unseen": -5}"#, "chain.pairs"),
        ] {
            let found = message { _ = try Manifest.read(Data(tagging(["O", "B-x"], chain: chain).utf8)) }
            XCTAssert(found.contains(expected), found)
        }
        XCTAssertNil(try Manifest.read(Data(tagging(["O", "B-x"], chain: "null").utf8)).chain)
    }

    private func judging(_ labels: [String], pair: Bool = true) throws -> Manifest {
        let text = Fixtures.manifest(files, labels: labels)
        return try Manifest.read(Data((pair ? paired(text) : text).utf8))
    }

    private func paired(_ text: String) -> String {
        text.replacingOccurrences(of: #""pair": false"#, with: #""pair": true"#)
    }

    func testEntailmentIsFoundByNameAlone() throws {
        XCTAssertNil(Entailment(try judging(["yes", "maybe", "no"])))
        XCTAssertNil(Entailment(try judging(["entailment", "not_entailment"], pair: false)))
        XCTAssertNil(Entailment(try judging(["entailment", "Entailment"])))
        let half = try XCTUnwrap(Entailment(try judging(["neutral", "entailment", "other"])))
        XCTAssert(!half.judgesAlone && !half.canJudge(1, severalTrue: false) && !half.canJudge(2, severalTrue: true))
        XCTAssert(half.canJudge(2, severalTrue: false))
    }

    func testAModelThatIsNotSureSaysSo() async throws {
        let unsure = Fixtures.manifest(files, more: #""min_confidence": 0.8, "#)
        let bundle = try Fixtures.bundle(self, files, manifest: unsure)
        for (logits, sure) in [([0, 1], false), ([0, 3], true)] as [([Float], Bool)] {
            let runtime = FakeRuntime { _ in logits }
            let classifier = try await Classifier(bundle, model: try bundle.shippedModel(), runtimes: [runtime])
            let answer = try await classifier.answer("good films")
            XCTAssertEqual(answer.isSure, sure)
        }
        let text = Fixtures.manifest(files, more: #""min_confidence": 0, "#)
        XCTAssert(message { _ = try Manifest.read(Data(text.utf8)) }.contains("min_confidence"))
    }

    func testATagOfAnotherSchemeIsRefused() {
        XCTAssertThrowsError(try Mark("PER", .bio))
        XCTAssertThrowsError(try Mark("b", .bio))
        XCTAssertThrowsError(try Mark("", .bio))
    }

    func testSoftmaxOfLargeAndOfNoLogits() {
        XCTAssertEqual(softmax([1000, 1000]), [0.5, 0.5])
        XCTAssertEqual(softmax([-1000, 0]), [0, 1])
        XCTAssertEqual(softmax([]), [])
        XCTAssertEqual(softmax([4, 0], temperature: 2), softmax([2, 0]))
        XCTAssertEqual(ranked([1, 1], ["a", "b"]).map(\.label), ["a", "b"])
    }

    func testInputsByNamePaddedWhereTheModelsLengthIsFixed() throws {
        let open = Fixtures.manifest(files)
        let encoding = try Tokenizer(Fixtures.tokenizer()).encode("a")
        let inputs = ModelInputs(encoding, try Manifest.read(Data(open.utf8)))
        XCTAssertEqual(try inputs.values(named: "input_ids"), [2, 9, 3])
        XCTAssertEqual(try inputs.values(named: "attention_mask"), [1, 1, 1])
        XCTAssertEqual(try inputs.values(named: "token_type_ids"), [0, 0, 0])
        XCTAssertThrowsError(try inputs.values(named: "position_ids"))
        let fixed = open.replacingOccurrences(of: "[\"batch\", \"seq\"]", with: "[1, 5]")
        let padded = ModelInputs(encoding, try Manifest.read(Data(fixed.utf8)))
        XCTAssertEqual(try padded.values(named: "input_ids"), [2, 9, 3, 7, 7])
        XCTAssertEqual(try padded.values(named: "attention_mask"), [1, 1, 1, 0, 0])
        XCTAssertEqual(padded.tokenCount, 3)
    }
}
