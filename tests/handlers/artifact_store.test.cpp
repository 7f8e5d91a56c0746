#include "quern/handlers/artifact_store.hpp"

#include <sys/stat.h>

#include <filesystem>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "quern/core/detail/crash_point.hpp"
#include "support/catch.hpp"
#include "support/temp_folder.hpp"

using quern::FileArtifactStore;
using quern_test::read_text;
using quern_test::TempFolder;
using quern_test::write_text;

namespace {

std::vector<std::string> crash_points_passed;

// Notes the crash points that are passed while it lives.
class Watch {
 public:
  Watch() {
    crash_points_passed.clear();
    quern::detail::crash_hook = [](const char* name) noexcept { crash_points_passed.emplace_back(name); };
  }
  ~Watch() { quern::detail::crash_hook = nullptr; }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
};

std::vector<std::string> names(const std::vector<quern::ArtifactInfo>& files) {
  std::vector<std::string> out;
  for (const auto& file : files) out.push_back(file.name);
  return out;
}

}  // namespace

TEST_CASE("what is put is there as it was", "[artifacts]") {
  const TempFolder folder;
  FileArtifactStore store(folder / "new" / "root");
  const std::string bytes("a\0b\xFF", 4);
  const std::string path = store.put("42", "digest.md", bytes);
  CHECK(path == (folder / "new" / "root" / "42" / "digest.md").string());
  CHECK(read_text(path) == bytes);
  CHECK(store.get("42", "digest.md") == bytes);
  CHECK_FALSE(store.get("42", "digest.html"));
  CHECK_FALSE(store.get("43", "digest.md"));
  CHECK(store.list("43").empty());

  store.put("42", "digest.md", "new");
  CHECK(store.get("42", "digest.md") == "new");
  store.put("42", "empty", "");
  CHECK(store.get("42", "empty") == "");
  CHECK(names(store.list("42")) == std::vector<std::string>{"digest.md", "empty"});
  CHECK(store.list("42")[0].bytes == 3);

  CHECK(store.remove("42", "empty"));
  CHECK_FALSE(store.remove("42", "empty"));
  CHECK_FALSE(store.remove("99", "empty"));
  CHECK(store.remove_all("42") == 1);
  CHECK(store.remove_all("42") == 0);
  CHECK_FALSE(std::filesystem::exists(folder / "new" / "root" / "42"));
  store.put("42", "again", "x");
  CHECK(store.get("42", "again") == "x");
}

TEST_CASE("files are for this user only", "[artifacts]") {
  const TempFolder folder;
  FileArtifactStore store(folder.path());
  struct stat status{};
  REQUIRE(stat(store.put("a", "b", "c").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  REQUIRE(stat((folder / "a").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0700);
}

TEST_CASE("a name that could be a path or a device is refused", "[artifacts]") {
  const TempFolder folder;
  FileArtifactStore store(folder / "root");
  const std::vector<std::string> bad{"",
                                     ".",
                                     "..",
                                     "../x",
                                     "a/b",
                                     "/etc/passwd",
                                     "a\\b",
                                     "..\\x",
                                     ".hidden",
                                     ".quern-tmp",
                                     "end.",
                                     "a b",
                                     "a\nb",
                                     "a:b",
                                     "C:",
                                     "a*",
                                     "a?",
                                     "\xC3\xBC",
                                     "a%2fb",
                                     "~",
                                     std::string("a\0b", 3),
                                     std::string(101, 'a'),
                                     "con",
                                     "CON",
                                     "nul.txt",
                                     "Aux.tar.gz",
                                     "prn",
                                     "com1",
                                     "LPT9.md",
                                     "COM0"};
  for (const auto& name : bad) {
    INFO(name);
    CHECK_THROWS_AS(store.put("owner", name, "x"), quern::InvalidArgument);
    CHECK_THROWS_AS(store.put(name, "name", "x"), quern::InvalidArgument);
    CHECK_THROWS_AS(store.get("owner", name), quern::InvalidArgument);
    CHECK_THROWS_AS(store.get(name, "name"), quern::InvalidArgument);
    CHECK_THROWS_AS(store.list(name), quern::InvalidArgument);
    CHECK_THROWS_AS(store.remove("owner", name), quern::InvalidArgument);
    CHECK_THROWS_AS(store.remove_all(name), quern::InvalidArgument);
  }
  CHECK(std::filesystem::is_empty(folder / "root"));
  for (const std::string& name :
       std::vector<std::string>{"a", "A-b_c.1", "console", "com10", "lpt", "null", std::string(100, 'a')})
    CHECK_NOTHROW(store.put("owner", name, "x"));
}

TEST_CASE("no symbolic link leads a read or a write outside", "[artifacts]") {
  const TempFolder folder;
  std::filesystem::create_directories(folder / "outside");
  write_text(folder / "outside" / "secret", "secret");
  FileArtifactStore store(folder / "root");
  store.put("owner", "real", "x");

  SECTION("in a folder's place") {
    std::filesystem::create_directory_symlink(folder / "outside", folder / "root" / "link");
    CHECK_THROWS_AS(store.get("link", "secret"), quern::StorageError);
    CHECK_THROWS_AS(store.put("link", "evil", "x"), quern::StorageError);
    CHECK_THROWS_AS(store.list("link"), quern::StorageError);
    CHECK_THROWS_AS(store.remove("link", "secret"), quern::StorageError);
    CHECK_THROWS_AS(store.remove_all("link"), quern::StorageError);
    CHECK(read_text(folder / "outside" / "secret") == "secret");
    CHECK_FALSE(std::filesystem::exists(folder / "outside" / "evil"));
  }
  SECTION("in a file's place") {
    std::filesystem::create_symlink(folder / "outside" / "secret", folder / "root" / "owner" / "link");
    CHECK_THROWS_AS(store.get("owner", "link"), quern::StorageError);
    CHECK(names(store.list("owner")) == std::vector<std::string>{"real"});
    store.put("owner", "link", "mine");  // Replaces the link, and not what it points to.
    CHECK(read_text(folder / "outside" / "secret") == "secret");
    CHECK(store.get("owner", "link") == "mine");
  }
  SECTION("in the temporary file's place") {
    std::filesystem::create_symlink(folder / "outside" / "secret", folder / "root" / "owner" / ".quern-tmp");
    store.put("owner", "new", "mine");
    CHECK(read_text(folder / "outside" / "secret") == "secret");
    CHECK(store.get("owner", "new") == "mine");
  }
  SECTION("removing removes the link") {
    std::filesystem::create_symlink(folder / "outside" / "secret", folder / "root" / "owner" / "link");
    CHECK(store.remove("owner", "link"));
    CHECK(std::filesystem::exists(folder / "outside" / "secret"));
  }
}

TEST_CASE("something that is no regular file is not read", "[artifacts]") {
  const TempFolder folder;
  FileArtifactStore store(folder.path());
  store.put("owner", "real", "x");
  REQUIRE(mkfifo((folder / "owner" / "pipe").c_str(), 0600) == 0);
  std::filesystem::create_directory(folder / "owner" / "dir");
  CHECK_THROWS_AS(store.get("owner", "pipe"), quern::StorageError);
  CHECK_THROWS_AS(store.get("owner", "dir"), quern::StorageError);
  CHECK_THROWS_AS(store.put("owner", "dir", "x"), quern::StorageError);
  write_text(folder / "file", "x");
  CHECK_THROWS_AS(store.put("file", "name", "x"), quern::StorageError);
}

TEST_CASE("a quota is kept and replacing counts once", "[artifacts]") {
  const TempFolder folder;
  FileArtifactStore store(folder.path(), {.max_file_bytes = 10, .max_owner_bytes = 15, .max_owner_files = 3});
  CHECK_THROWS_AS(store.put("a", "x", std::string(11, 'x')), quern::InvalidArgument);
  store.put("a", "x", std::string(10, 'x'));
  store.put("a", "x", std::string(10, 'y'));
  CHECK_THROWS_AS(store.put("a", "y", std::string(6, 'y')), quern::InvalidArgument);
  store.put("a", "y", std::string(5, 'y'));
  store.put("a", "z", "");
  CHECK_THROWS_AS(store.put("a", "w", ""), quern::InvalidArgument);
  store.put("b", "w", std::string(10, 'w'));
  CHECK(names(store.list("a")) == std::vector<std::string>{"x", "y", "z"});
  CHECK(store.get("a", "x") == std::string(10, 'y'));
}

TEST_CASE("a write passes its crash points and cleans up after an earlier crash", "[artifacts]") {
  const TempFolder folder;
  FileArtifactStore store(folder.path());
  store.put("owner", "name", "old");
  write_text(folder / "owner" / ".quern-tmp", "half of something");
  {
    const Watch watch;
    store.put("owner", "name", "new");
  }
  CHECK(crash_points_passed ==
        std::vector<std::string>{"artifact.write", "artifact.rename", "artifact.done"});
  CHECK_FALSE(std::filesystem::exists(folder / "owner" / ".quern-tmp"));
  CHECK(store.get("owner", "name") == "new");
  write_text(folder / "owner" / ".quern-tmp", "half of something");
  CHECK(store.remove_all("owner") == 1);
  CHECK_FALSE(std::filesystem::exists(folder / "owner"));
}

TEST_CASE("several writers and a remover leave whole files only", "[artifacts]") {
  const TempFolder folder;
  const std::string a(200'000, 'a');
  const std::string b(200'000, 'b');
  {
    std::vector<std::thread> threads;
    for (const auto& content : {a, b})
      threads.emplace_back([&folder, content] {
        FileArtifactStore store(folder.path());
        for (int i = 0; i < 20; ++i) store.put("owner", "name", content);
      });
    threads.emplace_back([&folder] {
      FileArtifactStore store(folder.path());
      for (int i = 0; i < 20; ++i) static_cast<void>(store.remove_all("owner"));
    });
    std::set<std::size_t> sizes;
    FileArtifactStore reader(folder.path());
    for (int i = 0; i < 200; ++i)
      if (const auto content = reader.get("owner", "name")) sizes.insert(content->size());
    for (auto& thread : threads) thread.join();
    for (const std::size_t size : sizes) CHECK(size == 200'000);
  }
  FileArtifactStore store(folder.path());
  store.put("owner", "name", a);
  CHECK(store.get("owner", "name") == a);
  CHECK(std::distance(std::filesystem::directory_iterator(folder / "owner"),
                      std::filesystem::directory_iterator()) == 1);
}

TEST_CASE("a root that can't be is a clear error", "[artifacts]") {
  const TempFolder folder;
  write_text(folder / "file", "x");
  CHECK_THROWS_AS(FileArtifactStore(folder / "file"), quern::StorageError);
  CHECK_THROWS_AS(FileArtifactStore(folder / "file" / "below"), quern::StorageError);
}
