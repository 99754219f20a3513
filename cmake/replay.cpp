// Runs a fuzz target over its corpus: every file of the folder as it is, then cut short, then with
// bytes flipped by a fixed seed. A crash or a sanitizer report fails the test.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

static void run(const std::string& input) {
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
}

static void run_with_mutations(const std::string& seed, uint64_t state) {
    run(seed);
    for (size_t cut = 0; cut < 64 && cut < seed.size(); ++cut)
        run(seed.substr(0, seed.size() * cut / 64));
    for (int round = 0; round < 400 && !seed.empty(); ++round) {
        std::string mutant = seed;
        for (int flip = 0; flip <= round % 5; ++flip) {
            state = state * 6364136223846793005ULL + 1442695040888963407ULL;
            mutant[(state >> 33) % mutant.size()] = static_cast<char>(state >> 20);
        }
        run(mutant);
    }
}

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: %s CORPUS_FOLDER\n", argv[0]);
        return 2;
    }
    size_t seeds = 0;
    for (const auto& entry : std::filesystem::directory_iterator(argv[1])) {
        std::ifstream file(entry.path(), std::ios::binary);
        std::string seed{std::istreambuf_iterator<char>(file), {}};
        run_with_mutations(seed, ++seeds);
    }
    std::printf("%zu seeds replayed\n", seeds);
    return seeds ? 0 : 1;
}
