// What a storage promises that can keep the jobs of another one: see BackupStore. Others pass these cases.
#include <map>

#include "quern/storage/memory_storage.hpp"
#include "quern/testing/random_life.hpp"
#include "testing/scene.hpp"

namespace quern::inline v1::testing::detail {
namespace {

/// Tracks everything, and never waits.
class Everything final : public ChangeTracker {
 public:
  [[nodiscard]] JobDurability durability(std::string_view /*kind*/) const noexcept override {
    return JobDurability::written_behind;
  }
  [[nodiscard]] JobDurability record_durability() const noexcept override {
    return JobDurability::written_behind;
  }
  void await(std::uint64_t /*generation*/) override {}
  void enough_changed() noexcept override {}
};

/// What has changed in a storage in memory, a few jobs at a time.
class Changes final : public ImageSource {
 public:
  explicit Changes(MemoryStorage& memory) : memory_(memory) {}
  ~Changes() override {
    if (open_) memory_.end_capture(false);
  }
  void rewind() override {
    if (open_) memory_.end_capture(false);
    memory_.begin_capture();
    open_ = true;
  }
  bool next(ImageChunk& chunk) override {
    constexpr std::size_t few = 7;
    if (chunks_until_failure == 0) throw StorageError("the source has failed", true);
    if (chunks_until_failure > 0) --chunks_until_failure;
    return memory_.capture(chunk, few);
  }
  void done() {
    memory_.end_capture(true);
    open_ = false;
  }
  int chunks_until_failure = -1;

 private:
  MemoryStorage& memory_;
  bool open_ = false;
};

/// A storage in memory with the storage under test behind it.
struct Kept {
  explicit Kept(Scene& scene, std::uint64_t seed)
      : s(scene), memory(scene.clock), port(memory), life(scene.clock, seed) {
    s.store().retire(s.node);
    keeper = s.store().backup()->become_keeper({.name = "keeper", .host = "here"});
    memory.track(tracker, 1U << 30U);
    memory.number_nodes_from(1000);
    memory.reserve_ids(s.store().reserve_ids(1'000'000).value);
    life.begin(port);
  }
  void live(int steps) {
    for (int i = 0; i < steps; ++i) life.step();
  }
  void write() {
    Changes changes(memory);
    s.store().backup()->write_images(keeper, changes);
    changes.done();
  }
  [[nodiscard]] std::vector<std::string> images(BackupPort& of) const {
    std::vector<std::string> lines;
    for (JobId after{};;) {
      const auto some = of.read_images(after, 50);
      if (some.empty()) return lines;
      for (const JobImage& image : some) lines.push_back(to_text(image));
      QUERN_EXPECT(some.front().job.id > after);
      after = some.back().job.id;
    }
  }

  Scene& s;
  Everything tracker;
  MemoryStorage memory;
  StorageAdapter<MemoryStorage&> port;
  RandomLife life;
  NodeId keeper{};
};

bool can_keep(Scene& s) { return s.store().backup() != nullptr; }

void expect_same(StoragePort& found, StoragePort& expected) {
  QUERN_EXPECT_EQ(differences(to_text(found), to_text(expected)), std::vector<std::string>{});
  expect_counts_equal_a_recount(found);
}

}  // namespace

void add_image_cases(Cases& cases) {
  add_case(cases, "a storage holds the jobs that images show, whatever they were before", [](Scene& s) {
    if (!can_keep(s)) return;
    Kept kept(s, 1);
    for (int round = 0; round < 12; ++round) {
      kept.live(60);
      kept.write();
      expect_same(s.store(), kept.port);
    }
    kept.write();  // nothing
    expect_same(s.store(), kept.port);
  });

  add_case(cases, "images that were written come back as they were", [](Scene& s) {
    if (!can_keep(s)) return;
    Kept kept(s, 2);
    std::map<JobId, std::string> written;
    for (int round = 0; round < 6; ++round) {
      kept.live(60);
      Changes changes(kept.memory);
      // What is handed over is noted on the way.
      class Noted final : public ImageSource {
       public:
        Noted(ImageSource& inner, std::map<JobId, std::string>& lines) : inner_(inner), lines_(lines) {}
        void rewind() override { inner_.rewind(); }
        bool next(ImageChunk& chunk) override {
          const bool more = inner_.next(chunk);
          for (const JobId id : chunk.erased) lines_.erase(id);
          for (const JobImage& image : chunk.jobs) lines_[image.job.id] = to_text(image);
          return more;
        }

       private:
        ImageSource& inner_;
        std::map<JobId, std::string>& lines_;
      } noted(changes, written);
      s.store().backup()->write_images(kept.keeper, noted);
      changes.done();
      std::vector<std::string> lines;
      for (const auto& [id, line] : written) lines.push_back(line);
      QUERN_EXPECT_EQ(differences(kept.images(*s.store().backup()), lines), std::vector<std::string>{});
    }
  });

  add_case(cases, "a write of images is all or nothing", [](Scene& s) {
    if (!can_keep(s)) return;
    Kept kept(s, 3);
    kept.live(100);
    kept.write();
    const auto before = to_text(s.store());
    kept.live(100);
    {
      Changes changes(kept.memory);
      changes.chunks_until_failure = 3;
      QUERN_EXPECT_THROWS(StorageError, s.store().backup()->write_images(kept.keeper, changes));
    }
    QUERN_EXPECT_EQ(differences(to_text(s.store()), before), std::vector<std::string>{});
    kept.write();
    expect_same(s.store(), kept.port);
  });

  add_case(cases,
           "I03 I04 what stood as running is rescued from a keeper that has gone, and all else goes on",
           [](Scene& s) {
             if (!can_keep(s)) return;
             Kept kept(s, 4);
             kept.live(200);
             kept.write();
             const auto running = s.counted(JobState::running);
             const auto ready = s.counted(JobState::ready);
             s.store().retire(kept.keeper);
             s.node = s.new_node();
             const auto result = s.rescue(100'000);
             QUERN_EXPECT_EQ(result.rescued + result.dead, running);
             QUERN_EXPECT_EQ(s.counted(JobState::running), std::uint64_t{0});
             for (const QueueStatus& queue : s.store().queues()) s.store().resume(queue.name);
             const auto claims = s.store().claim(Scene::request(s.node, 100'000, {"a", "b", "c"}));
             QUERN_EXPECT(claims.size() <= ready + result.rescued);  // some had missed their deadlines
             for (const Claim& claim : claims) s.complete(claim);
             QUERN_EXPECT_EQ(s.counted(JobState::running), std::uint64_t{0});
             expect_counts_equal_a_recount(s.store());
           });

  add_case(cases, "while there is a keeper nobody else changes anything", [](Scene& s) {
    if (!can_keep(s)) return;
    const JobId id = s.add();
    Kept kept(s, 5);
    StoragePort& other = s.fixture.second();
    const bool is_another = s.fixture.shared();
    QUERN_EXPECT(other.find({&id, 1}).at(0).has_value());
    QUERN_EXPECT_THROWS(StorageError, other.cancel({&id, 1}, "x"));
    QUERN_EXPECT_THROWS(StorageError, other.retry({&id, 1}, "x"));
    QUERN_EXPECT_THROWS(StorageError, other.pause("default"));
    QUERN_EXPECT_THROWS(StorageError, other.put_record({.collection = "c", .key = "k"}));
    const NewJob job{.id = JobId{id.value + 1}, .kind = "work"};
    QUERN_EXPECT_THROWS(StorageError, other.insert({&job, 1}));
    QUERN_EXPECT_THROWS(StorageError, other.register_node({.name = "n", .host = "h", .lease = lease}));
    if (is_another) {
      QUERN_EXPECT_THROWS(StorageError, other.reserve_ids(1));
      QUERN_EXPECT_THROWS(StorageError, other.backup()->become_keeper({.name = "second"}));
    }
    s.store().retire(kept.keeper);
    QUERN_EXPECT_EQ(other.cancel({&id, 1}, "x").at(0), CancelResult::cancelled);
    Changes changes(kept.memory);
    QUERN_EXPECT_THROWS(KeeperLost, s.store().backup()->write_images(kept.keeper, changes));
    const NodeId next = other.backup()->become_keeper({.name = "next"});
    QUERN_EXPECT(next > kept.keeper);
    other.retire(next);
  });

  add_case(cases, "nobody keeps jobs that a node works on", [](Scene& s) {
    if (!can_keep(s)) return;
    try {
      s.store().backup()->become_keeper({.name = "keeper"});
      fail(__FILE__, __LINE__, "become_keeper", "did not throw");
    } catch (const StorageError& e) {
      QUERN_EXPECT(e.transient());
    }
    s.clock.advance(lease + 1s);
    const NodeId keeper = s.store().backup()->become_keeper({.name = "keeper"});
    s.store().retire(keeper);
    s.node = s.new_node();
    s.complete(s.start(s.add()));
  });
}

}  // namespace quern::inline v1::testing::detail
