// Texts in the order that they suit a query, by vectors that are computed once and kept, or by scores of pairs.
import XCTest

@testable import EdgepackCore

final class RankingTests: XCTestCase {
    private let files = ["tokenizer.bin": Fixtures.tokenizer(), "onnx/model.onnx": Array("model".utf8)]
    private static let vector = #""vector": {"size": 2, "normalized": true, "judged": "pairs"}, "#

    /// Texts that a model was run on.
    private final class Runs: @unchecked Sendable {  // one call at a time
        var count = 0
    }

    private func embedding(_ more: String = vector, labels: [String] = []) -> String {
        Fixtures.manifest(files, task: "feature-extraction", labels: labels, more: more)
    }

    private func classifier(_ manifest: String, vectors: URL? = nil, _ rows: @escaping @Sendable (ModelInputs) -> [Float])
        async throws -> Classifier
    {
        let bundle = try Fixtures.bundle(self, files, manifest: manifest)
        let runtime = FakeRuntime(rows: rows)
        return try await Classifier(bundle, model: try bundle.shippedModel(), runtimes: [runtime], vectors: vectors)
    }

    private func ranked(_ answer: Answer) -> [RankedText] {
        guard case .ranked(let found) = answer.content else { return [] }
        return found
    }

    func testTheCosineIsOfDirectionsAlone() {
        XCTAssertEqual(cosine([1, 2], [10, 20]), 1, accuracy: 1e-7)
        XCTAssertEqual(cosine([1, 2], [-1, -2]), -1, accuracy: 1e-7)
        XCTAssertEqual(cosine([3, 4], [2, 0]), 0.6, accuracy: 1e-7)
        XCTAssertEqual(cosine([0, 0], [1, 2]), 0)
    }

    func testTheBestComesFirstAndEqualOnesAsTheyWereGiven() {
        let found = rankedTexts(["a", "b", "c", "d"], [0.1, 0.5, 0.5, 0.9])
        XCTAssertEqual(found.map(\.text), ["d", "b", "c", "a"])
        XCTAssertEqual(found.map(\.score), [0.9, 0.5, 0.5, 0.1])
    }

    func testAListIsReadLineByLine() {
        XCTAssertEqual(list(in: " a\n\nb c\r\na "), ["a", "b c"])
        XCTAssertEqual(list(in: " \n"), [])
    }

    func testAVectorIsComputedOnceAndKept() async throws {
        let file = try Fixtures.folder(self).appendingPathComponent("kept")
        var asked = [String]()
        let embed = { (text: String) -> [Float] in
            asked.append(text)
            return [Float(text.count), 1]
        }
        _ = await KeptVectors(file, size: 2).of(["a", "bcé"], embed)
        let again = KeptVectors(file, size: 2)
        XCTAssertEqual(again.texts, ["a", "bcé"])
        let found = await again.of(["bcé", "de"], embed)
        XCTAssertEqual(found, [[3, 1], [2, 1]])
        XCTAssertEqual(asked, ["a", "bcé", "de"])
        XCTAssertEqual(KeptVectors(file, size: 2).texts, ["bcé", "de"])
        let folder = file.deletingLastPathComponent()
        XCTAssertEqual(try FileManager.default.contentsOfDirectory(atPath: folder.path), ["kept"])
    }

    func testAFormKeepsTheDirectionInFewerBytes() async throws {
        let vector = (0..<19).map { sin(1.7 * Float($0)) }
        let query = (0..<19).map { cos(0.4 * Float($0)) }
        let kept = VectorForm.allCases.map { $0.unpacked($0.packed(vector), size: 19) }
        XCTAssertEqual(kept[0], vector)
        XCTAssertEqual(cosine(query, kept[1]), cosine(query, vector), accuracy: 0.01)
        XCTAssertEqual(kept[2], vector.map { $0 >= 0 ? 1 : -1 })
        XCTAssertEqual(VectorForm.allCases.map { $0.packed(vector).count }, [76, 19, 3])
        XCTAssertEqual(VectorForm.int8.unpacked(VectorForm.int8.packed([0, 0]), size: 2), [0, 0])
        for (form, expected) in zip(VectorForm.allCases, kept) {
            let file = try Fixtures.folder(self).appendingPathComponent(form.rawValue)
            _ = await KeptVectors(file, size: 19, form: form).of(["a"]) { _ in vector }
            let again = KeptVectors(file, size: 19, form: form)
            XCTAssertEqual(again.texts, ["a"])
            let found = await again.of(["a"]) { _ in [] }
            XCTAssertEqual(found, [expected])
        }
    }

    func testWhatIsDamagedCountsAsNone() async throws {
        let file = try Fixtures.folder(self).appendingPathComponent("kept")
        _ = await KeptVectors(file, size: 2).of(["a", "b"]) { _ in [0, 1] }
        let whole = try Data(contentsOf: file)
        XCTAssertEqual(KeptVectors(file, size: 2).texts, ["a", "b"])
        XCTAssertEqual(KeptVectors(file, size: 3).texts, [])
        for place in whole.indices {
            var changed = whole
            changed[place] ^= 1
            try changed.write(to: file)
            XCTAssertEqual(KeptVectors(file, size: 2).texts, [], "byte \(place)")
            try whole.prefix(place).write(to: file)
            XCTAssertEqual(KeptVectors(file, size: 2).texts, [], "\(place) bytes")
        }
    }

    func testAFolderThatCannotBeWrittenKeepsThemInMemory() async throws {
        let file = try Fixtures.folder(self).appendingPathComponent("a file")
        try Data("in the way".utf8).write(to: file)
        let kept = KeptVectors(file.appendingPathComponent("kept"), size: 1)
        let found = await kept.of(["a"]) { _ in [1] }
        XCTAssertEqual(found, [[1]])
        XCTAssertEqual(kept.texts, ["a"])
    }

    func testTextsAreRankedByTheirVectors() async throws {
        let folder = try Fixtures.folder(self)
        try Data("old".utf8).write(to: folder.appendingPathComponent("old.float32"))
        let runs = Runs()
        let rows: @Sendable (ModelInputs) -> [Float] = { inputs in
            runs.count += 1
            return [Float(inputs.tokenCount), 3]
        }
        let classifier = try await classifier(embedding(), vectors: folder, rows)
        XCTAssertEqual(runs.count, 1)  // to warm up
        let answer = try await classifier.rank("good film", ["good", "good a", "good film a a"])
        XCTAssertEqual(ranked(answer).first?.text, "good a")
        XCTAssertEqual(ranked(answer)[0].score, 1, accuracy: 1e-6)
        XCTAssertEqual(answer.tokenCount, 4 + 3 + 4 + 6)
        XCTAssertEqual(runs.count, 5)
        _ = try await classifier.rank("a", ["good a", "good"])
        XCTAssertEqual(runs.count, 6)  // of the query alone
        XCTAssertEqual(classifier.vectors?.texts, ["good a", "good"])
        XCTAssertEqual(try FileManager.default.contentsOfDirectory(atPath: folder.path).count, 1)
        let again = try await self.classifier(embedding(), vectors: folder, rows)
        XCTAssertEqual(again.vectors?.texts, ["good a", "good"])
        let refusal = await message { _ = try await classifier.answer("good") }
        XCTAssert(refusal.contains("embeds texts"), refusal)
    }

    func testPromptsStandBeforeQueryAndTexts() async throws {
        let prompts = #""query_prompt": "good ", "text_prompt": "film ", "size""#
        let manifest = embedding(Self.vector.replacingOccurrences(of: #""size""#, with: prompts))
        let classifier = try await classifier(manifest) { inputs in [Float(inputs.tokenCount), 3] }
        let answer = try await classifier.rank("a", ["good good", "good", "film good good good"])
        XCTAssertEqual(ranked(answer).map(\.text), ["good", "good good", "film good good good"])  // two words, as the query
        XCTAssertEqual(ranked(answer)[0].score, 1, accuracy: 1e-6)
        XCTAssertEqual(answer.tokenCount, 4 + 5 + 4 + 6)
        XCTAssertEqual(behind("good ", "good a"), "good a")
        XCTAssertEqual(behind(nil, "a"), "a")
    }

    func testVectorsOfAnotherLengthAndNumbersThatAreNoneAreRefused() async {
        for row: [Float] in [[1], [1, 2, 3], [1, .nan]] {
            let refusal = await message { _ = try await classifier(embedding()) { _ in row } }
            XCTAssert(refusal.contains("other numbers"), refusal)
        }
    }

    func testAModelThatScoresPairsRunsForEach() async throws {
        let scores = #""problem": "regression", "activation": "sigmoid", "#
        let text = Fixtures.manifest(files, labels: ["score"], more: scores)
            .replacingOccurrences(of: #""pair": false"#, with: #""pair": true"#)
        let classifier = try await classifier(text) { inputs in [Float(inputs.tokenCount) - 6] }
        let found = ranked(try await classifier.rank("a", ["a", "good film a", "good film"]))
        XCTAssertEqual(found.map(\.text), ["good film a", "good film", "a"])
        XCTAssertTrue(found.allSatisfy { 0...1 ~= $0.score })
        let other = try await self.classifier(Fixtures.manifest(files)) { _ in [0, 1] }
        XCTAssertFalse(other.manifest.ranksTexts)
        let refusal = await message { _ = try await other.rank("a", ["a"]) }
        XCTAssert(refusal.contains("cannot rank"), refusal)
    }

    func testAManifestOfVectorsIsReadStrictly() throws {
        XCTAssertEqual(try Manifest.read(Data(embedding().utf8)).vector?.size, 2)
        let wrong = [
            embedding(""), embedding(labels: ["a"]), Fixtures.manifest(files, more: Self.vector),
            embedding(Self.vector.replacingOccurrences(of: "2", with: "0")),
            embedding(Self.vector.replacingOccurrences(of: "2", with: "65537")),
            embedding(Self.vector + #""windows": {"overlap": 2, "combine": "mean"}, "#),
            embedding(Self.vector + #""problem": "regression", "#),
            embedding().replacingOccurrences(of: #""pair": false"#, with: #""pair": true"#),
            Fixtures.manifest(files, labels: []),
        ]
        for text in wrong { XCTAssertThrowsError(try Manifest.read(Data(text.utf8)), text) }
    }
}
