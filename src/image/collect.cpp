// Garbage: blobs and layers that no image, snapshot or running call names. They are renamed away
// under the lock, so that whoever looks afterwards finds them whole or not at all, and deleted
// outside it.
#include <cstdio>
#include <sys/stat.h>

#include <fmt/format.h>

#include "cloudlet/base/id.h"
#include "short_links.h"
#include "store.h"

namespace cloudlet::image {

std::set<std::string> ImageStore::Impl::marked() const {
    std::set<std::string> used(pins.begin(), pins.end());
    for (const auto& [id, image] : records.images()) {
        used.insert(image.layers.begin(), image.layers.end());
        const auto& needed = records.blobs_of(id);
        used.insert(needed.begin(), needed.end());
    }
    for (const auto& source : snapshots.sources())
        used.insert(source.layers.begin(), source.layers.end());
    return used;
}

Result<CollectReport> ImageStore::Impl::collect() {
    CollectReport report;
    std::vector<std::string> doomed;
    auto trash = [&] {
        return doomed.emplace_back(fmt::format("{}/tmp/trash-{}", root, new_hex_id(16)));
    };
    {
        std::lock_guard guard(mutex);
        auto used = marked();
        for (const auto& digest : TRY(blobs.list())) {
            struct stat status {};
            if (used.contains(digest) || stat(blobs.path_of(digest).c_str(), &status)) continue;
            if (rename(blobs.path_of(digest).c_str(), trash().c_str()))
                return fail_errno("remove the blob " + digest);
            ++report.blobs;
            report.freed_bytes += status.st_size;
        }
        for (const auto& id : TRY(layers.list())) {
            if (used.contains(id)) continue;
            auto layer = layers.find(id);
            TRY(layers.take_away(id, trash()));
            ++report.layers;
            report.freed_bytes += layer && *layer ? (*layer)->bytes : 0;
        }
        if (report.layers) TRY(prune_short_links(root + "/l"));
    }
    for (const auto& path : doomed) TRY(io::remove_tree(path));
    return report;
}

Result<CollectReport> ImageStore::collect_garbage() { return impl_->collect(); }

} // namespace cloudlet::image
