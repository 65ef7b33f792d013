// limits.hpp - every bound of Tarn in one place, with the relations between them.
// Level 1 (base).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace tarn::limits {

inline constexpr std::size_t KiB = 1024;
inline constexpr std::size_t MiB = 1024 * KiB;
inline constexpr std::uint64_t GiB = 1024 * MiB;
inline constexpr std::uint64_t TiB = 1024 * GiB;

// Names and objects (S3's rules).
inline constexpr std::size_t kBucketNameBytesMin = 2;  ///< S3 asks for 3; the contract of the command line has tarn://in/
inline constexpr std::size_t kBucketNameBytesMax = 63;
inline constexpr std::size_t kKeyBytesMax = 1024;
inline constexpr std::uint64_t kObjectBytesMax = 5 * TiB;
inline constexpr std::size_t kUserMetadataBytesMax = 2048;
inline constexpr std::size_t kListKeysMax = 1000;  ///< of one S3 page
inline constexpr std::size_t kPartsMax = 10'000;   ///< of an upload, and extents of an object

// Volumes.
inline constexpr std::size_t kTarBlockBytes = 512;
inline constexpr std::size_t kSoloDataOffset = 4096;             ///< first choice; doubled when the header needs more
inline constexpr std::size_t kSoloObjectBytesMin = 1 * MiB;      ///< from here an object has a volume to itself
inline constexpr std::size_t kIntegrityBlockBytes = 64 * KiB;    ///< of a large object: each has a hash of its own
inline constexpr std::size_t kBlockTableMemoryBytes = 16 * KiB;  ///< of a writer: hashes of 128 MiB; further ones wait in a file
inline constexpr std::uint64_t kVolumeBytesMax = 1 * GiB;        ///< a shared volume is sealed beyond this
inline constexpr std::size_t kOpenExtentsMax = 16;               ///< of one reader: what has more extents is opened piece by piece
inline constexpr std::uint64_t kHeadroomBytesMax = 64 * MiB;     ///< of a disk, kept for the index and for removals
inline constexpr std::uint64_t kHeadroomPart = 16;               ///< of a small disk: a sixteenth
inline constexpr std::uint64_t kVolumesPerDiskMin = 64;      ///< of a small disk the volumes are smaller: a whole one can be copied when it is full
inline constexpr std::uint64_t kSmallVolumeBytes = 2 * MiB;  ///< but not smaller than this
inline constexpr std::uint64_t kQuotaBytesMin = 16 * MiB;    ///< of a disk: less does not even hold an index for long
inline constexpr std::size_t kIndexMapBytes = 64 * GiB;      ///< address space of one LMDB, not memory
inline constexpr std::uint64_t kCheckTableBytesMax = 256 * MiB;  ///< memory of a check for what the index says: 16 million objects
inline constexpr std::size_t kIndexBatchRecordsMax = 8192;       ///< pending records that make a writer wait
inline constexpr std::chrono::milliseconds kIndexCommitInterval{20};
inline constexpr std::chrono::seconds kSuspectTime{60};  ///< without a failed write before a disk is trusted again

// Compaction (docs/adr/0010-compaction.md). Garbage: dead objects and removals in shared volumes.
inline constexpr std::uint64_t kCompactionGarbagePart = 8;              ///< more than an eighth of what lives is too much
inline constexpr std::uint64_t kCompactionGarbageBytesMin = 256 * KiB;  ///< on top of that: less is not worth a round
inline constexpr std::uint64_t kCompactionVictimPart = 16;              ///< a volume that would give back less is left alone
inline constexpr std::uint64_t kCompactionSealPart = 4;                 ///< from here on a volume that is being written is sealed for it
inline constexpr std::uint64_t kCompactionRemovalPart = 24;             ///< removals that must be kept may take so much of what lives
inline constexpr std::uint64_t kCompactionRoundBytesMax = 1 * GiB;      ///< copied before a sync
inline constexpr std::size_t kCompactionMovesMax = 1024;                ///< in one transaction of the index
inline constexpr std::uint64_t kCompactionBytesPerSecond = 128 * MiB;   ///< copied, unless it is given otherwise
inline constexpr std::uint64_t kCompactionHurry = 4;                    ///< times as fast when there is twice too much garbage
inline constexpr std::chrono::milliseconds kCompactionInterval{100};    ///< between rounds
inline constexpr std::uint64_t kNearlyFullPart = 16;                    ///< less of a disk is free: garbage goes as fast as it can

// Messages between ranks.
inline constexpr std::size_t kPeerPieceBytesMax = 8 * MiB;    ///< no MPI message is longer
inline constexpr std::size_t kPeerRequestsInFlightMax = 64;   ///< per rank, of one client
inline constexpr std::size_t kPeerTransferBytes = 2 * MiB;    ///< a long transfer goes in pieces of this size
inline constexpr std::size_t kPeerInlineBytesMax = 64 * KiB;  ///< a reply carries this much data in the same message
inline constexpr std::size_t kPeerTransfersInFlight = 4;      ///< pieces of one transfer under way together: its credit
inline constexpr std::size_t kPeerBufferBytesMax = 64 * MiB;  ///< that a rank holds for its peers before it makes them wait
inline constexpr std::size_t kPeerSessionsMax = 4096;         ///< readers and writers that peers hold open on a rank
inline constexpr std::size_t kFetchBatchBytesMax = 2 * MiB;   ///< of extents asked for in one message

// HTTP.
inline constexpr std::size_t kHttpHeaderBytesMax = 64 * KiB;
inline constexpr std::size_t kHttpConnectionsMax = 20000;  ///< per rank
inline constexpr std::chrono::seconds kHttpIdleTimeout{75};
inline constexpr std::chrono::seconds kHttpHeaderTimeout{20};  ///< from a request's first byte to the end of its head
inline constexpr std::chrono::seconds kHttpDrainTimeout{5};    ///< for requests in progress when the sidecar stops
inline constexpr std::size_t kHttpHeaderFieldsMax = 200;
inline constexpr std::size_t kHttpSmallObjectBytesMax = 64 * KiB;  ///< up to here a body is read whole and sent with its head
inline constexpr std::size_t kHttpPieceBytes = 256 * KiB;          ///< buffer of one transfer
inline constexpr std::size_t kHttpDocumentBytesMax = 1 * MiB;      ///< JSON and XML that clients send
inline constexpr std::size_t kHttpBlockingThreadsMax = 16;         ///< for calls that wait on other ranks
inline constexpr std::size_t kHttpBlockingQueueMax = 1024;         ///< beyond this: 503 SlowDown

static_assert(kSoloObjectBytesMin <= kPeerPieceBytesMax, "a small object travels in one message");
static_assert(kPeerTransferBytes + kKeyBytesMax + kUserMetadataBytesMax + 4 * KiB <= kPeerPieceBytesMax, "a piece and its header fit one message");
static_assert(kFetchBatchBytesMax <= kPeerPieceBytesMax);
static_assert(kSoloDataOffset % kTarBlockBytes == 0);
static_assert(kVolumeBytesMax > kSoloObjectBytesMin);
static_assert(kSoloObjectBytesMin % kIntegrityBlockBytes == 0, "the pieces that writers pass on are whole blocks");
static_assert((10 * KiB + 3 * kTarBlockBytes) * (kCompactionGarbagePart + 1) / kCompactionGarbagePart < 10 * KiB * 13 / 10,
              "objects of 10 KiB take at most 1.3 times their size in volumes, which leaves the index its part of 1.5");
static_assert(kCompactionRemovalPart * (kCompactionVictimPart - 1) > kCompactionGarbagePart * (kCompactionRemovalPart + kCompactionVictimPart),
              "when there is too much garbage, some volume is worth compacting, or there are too many removals");

}  // namespace tarn::limits
