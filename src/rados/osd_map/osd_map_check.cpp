#include "osd_map_check.h"

#include <fmt/format.h>

namespace cloudlet::rados {

Result<void> check_pools(const std::map<PoolId, Pool>& pools) {
    for (const auto& [id, pool] : pools) {
        if (pool.type != PoolType::replicated && pool.type != PoolType::erasure)
            return fail(Code::invalid, fmt::format("OSD map: pool {} has type {}, which is neither "
                                                   "replicated (1) nor erasure (3)",
                                                   id, static_cast<int>(pool.type)));
        if (!pool.pg_num || !pool.pgp_num || pool.pg_num > max_pg_num || pool.pgp_num > max_pg_num)
            return fail(Code::invalid, fmt::format("OSD map: pool {} has pg_num {} and pgp_num {}, "
                                                   "both must be 1 to {}",
                                                   id, pool.pg_num, pool.pgp_num, max_pg_num));
    }
    return {};
}

} // namespace cloudlet::rados
