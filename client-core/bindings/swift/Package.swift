// swift-tools-version: 5.9
// Run ./generate.sh first: the generated code is not in the repository.

import Foundation
import PackageDescription

// With the XCFramework, which ./xcframework.sh builds on a Mac, apps for iOS and macOS contain the library. Without it
// the package is for tests on this machine, and the linker needs the library's path.
let framework = "XundianClientFFI.xcframework"
let isFrameworkThere = FileManager.default.fileExists(atPath: "\(Context.packageDirectory)/\(framework)")

let package = Package(
    name: "XundianClient",
    platforms: [.iOS(.v15), .macOS(.v12)],
    products: [.library(name: "XundianClient", targets: ["XundianClient"])],
    targets: [
        isFrameworkThere
            ? .binaryTarget(name: "xundian_clientFFI", path: framework)
            : .systemLibrary(name: "xundian_clientFFI"),
        .target(
            name: "XundianClient",
            dependencies: ["xundian_clientFFI"],
            linkerSettings: isFrameworkThere ? [] : [.linkedLibrary("xundian_client")]
        ),
        .executableTarget(name: "Visit", dependencies: ["XundianClient"], path: "Samples/Visit"),
        .testTarget(name: "XundianClientTests", dependencies: ["XundianClient"]),
    ]
)
