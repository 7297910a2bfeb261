// Inflate, SHA-256 and the trie, against known answers.
import XCTest

@testable import EdgepackCore

final class BytesTests: XCTestCase {
    /// 1,200 bytes of letters, as zlib's level 9 packs them.
    private static let dynamicBlock = """
        eNollFGKxTAIRf+7CrcmRFAICprsf07eUGhpmuj1emx7aIZXyk510f31qlmTFrJvtrbYBLdcWuuIXg+r3CYjLVckuPQckTRfu9eWGO1efAv5tp\
        uktI6pV9sZky3cOFef2T3n+LYwVamTZt+p6X3kmnSpxMmQrGpFRbHrltYWmQixw4ZaEjG8hB4S+crKXn0+9n9BzDG0myy91qQJ75OcUrORvbf5\
        yCwpOS+eT/H4lIpSDT1RYTv7Vk7gypa6RHOzyMhfDepR1rOehGObeoj1fSdk5a5MAmvdRenqLdNmy0jehWU3F0HaP8dY6fTgBQHk7l3RJkf75e\
        ohJkZbHqwzqfBclEt54mf7XsPp4yyjbSdC5VgvR/Xr4w7qtBjbd8yK67YtFOz3Jn2s7qFI3ZdEpKWRpa5hx8gvc155dQ2v62heVxmPgJ3Y+Ims\
        ETpM1qEJnPxemRhEy3yLeRVoHVCTHzHuik3zbC+cfLYXpAAZtzXzWvbxJJJlnVgkzrNJ2DR6v3YjjdMyqQt48969Jef8r/vc2Fm2ALuo8STFDh\
        gVHlgCxQU288AZkMBySi7ajuMhokqPRxU2ki6AHrRro15hveVREkRwd7yZ9hJZgFb5is6bD1iWA8puBWcFAwZlxgawj6VRpz48ZCPDtgOvF/qr\
        m+5TADARCnr6STY9aH+jCvGXOR2ITBt8dx1cvPfdmK2pvfCS2Swplw8/DoO82/1IMHCQkc4pjW9I8R335tOPbQDUN6FkHl3KfGA5+N2Du1sXdC\
        IFziSWZdNBy4THZ7ptoF2fv7azABaoMPEn5DGmGLq/s+QhjOeSmgzLmwD+DExa59fgOJDJL+Yhy7oVSQUn/RC1zh9zX7fV
        """

    private func bytes(_ base64: String) -> [UInt8] { [UInt8](Data(base64Encoded: base64)!) }

    func testInflateOfEveryKindOfBlock() throws {
        let text = Array(String(repeating: "edgepack packs. ", count: 20).utf8)
        XCTAssertEqual(try inflate(bytes("eAFLTUlPLUhMzlYAEcV6CqmjfJL4AMn9chE=")[...]), text)
        var sha = Sha256()
        sha.update(try inflate(bytes(Self.dynamicBlock)[...]))
        XCTAssertEqual(sha.finish(), "9a2011883ca6a4ee9c86aadbd7d80d93c99d7cfe4010588acaf99abb4fb787f9")
        XCTAssertEqual(try inflate(Fixtures.packed(text)[...]), text)  // stored
    }

    func testInflateRefusesDamage() {
        let whole = bytes(Self.dynamicBlock)
        for size in whole.indices { XCTAssertThrowsError(try inflate(whole[..<size])) }
        for place in whole.indices {
            var data = whole
            data[place] ^= 0x10
            XCTAssertThrowsError(try inflate(data[...]))
        }
        XCTAssertThrowsError(try inflate(whole[...], limit: 100))
    }

    func testSha256OfKnownTexts() {
        let known = [
            "": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq":
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
            String(repeating: "a", count: 1_000_000):
                "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
        ]
        for (text, hash) in known {
            var sha = Sha256()
            sha.update(text.utf8)
            XCTAssertEqual(sha.finish(), hash)
        }
    }

    func testSha256InPiecesIsTheSame() {
        let data = (0..<300).map { UInt8($0 & 0xFF) }
        var whole = Sha256()
        whole.update(data)
        let expected = whole.finish()
        for size in [1, 63, 64, 65] {
            var pieces = Sha256()
            for start in stride(from: 0, to: data.count, by: size) {
                pieces.update(data[start..<min(start + size, data.count)])
            }
            XCTAssertEqual(pieces.finish(), expected)
        }
    }

    func testATrieOfManyStrings() throws {
        var strings = StringTable()
        let words = (0..<3000).reversed().map { number in String(number).unicodeScalars.map(\.value) }
        for word in words { strings.append(word) }
        strings.append([])
        strings.append(words[7])
        let trie = try Trie(strings)
        for (number, word) in words.enumerated() where number != 7 { XCTAssertEqual(trie.token(of: word), number) }
        XCTAssertEqual(trie.token(of: words[7]), 3001)  // of equal ones the last
        XCTAssertEqual(trie.node(of: [0x61]), -1)
        XCTAssertEqual(trie.node(of: words[0] + [0x30]), -1)
        XCTAssertEqual(trie.token(of: [UInt32]()), -1)
    }
}
