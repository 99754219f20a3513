#include "pg/execute_ops.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "cloudlet/rados/memory_store.h"
#include "cloudlet/rados/planted_bug.h"

namespace cloudlet::rados {
namespace {

constexpr uint64_t most = StoreLimits::object_bytes;

struct Quiet final : StoreListener {
    void committed(uint64_t) override {}
    void failed(const Error&) override {}
};

/// One object on a store, and lists of operations that are carried out on it for good.
struct OneObject : testing::Test {
    OneObject() { (void)store.submit(Transaction().create_collection(pg), 1); }

    Execution look(const ObjectOps& ops) const {
        return execute_ops(place, ops, {{9, version + 1}, version + 1, {77, 0}});
    }
    int32_t run(const ObjectOps& ops) {
        Execution done = look(ops);
        if (done.result < 0) {
            EXPECT_TRUE(done.change.operations.empty()) << "a refusal changes nothing";
            EXPECT_EQ(done.existed, done.exists);
        } else if (changes(ops)) {
            ++version;
            EXPECT_TRUE(store.submit(done.change, 1));
            EXPECT_EQ(store.stat(pg, place.id).has_value(), done.exists);
        }
        return done.result;
    }
    OpResult ask(ObjectOp one) const {
        Execution done = look({std::move(one)});
        EXPECT_TRUE(done.change.operations.empty());
        return done.results.empty() ? OpResult{.result = -999} : done.results[0];
    }
    std::string data() const { return ask(op::Read{}).data; }
    uint64_t size() const { return ask(op::Stat{}).size; }
    bool exists() const { return ask(op::Stat{}).result == 0; }
    void damage(ObjectPart part) {
        Random random(5);
        ASSERT_TRUE(store.damage({pg, place.id, part}, random));
    }

    static op::WriteFull full(std::string bytes) { return {share(std::move(bytes))}; }
    static op::Write write(uint64_t at, std::string bytes) { return {at, share(std::move(bytes))}; }

    Quiet quiet;
    MemoryStore store{quiet};
    const CollectionId pg = PgId{1, 0};
    const ObjectPlace place{store, pg, {3, "o"}};
    uint64_t version = 0;
};

TEST_F(OneObject, answers_every_question_about_a_missing_one_with_ENOENT) {
    for (const ObjectOp& one :
         {ObjectOp(op::AssertExists{}), ObjectOp(op::AssertVersion{0}), ObjectOp(op::Read{}),
          ObjectOp(op::CompareXattr{"a", ""}), ObjectOp(op::CompareData{}), ObjectOp(op::Stat{}),
          ObjectOp(op::GetXattr{"a"}), ObjectOp(op::GetXattrs{}), ObjectOp(op::GetOmap{"", 9}),
          ObjectOp(op::GetOmapValues{}), ObjectOp(op::Remove{}), ObjectOp(op::RemoveXattr{"a"}),
          ObjectOp(op::RemoveOmapKeys{}), ObjectOp(op::ClearOmap{})})
        EXPECT_EQ(run({one}), -ENOENT) << one.index();
    EXPECT_FALSE(exists());
}

TEST_F(OneObject, is_made_by_whatever_puts_something_into_it) {
    for (const ObjectOp& one : {ObjectOp(op::Create{}), ObjectOp(full("a")), ObjectOp(full("")),
                                ObjectOp(write(3, "a")), ObjectOp(write(0, "")),
                                ObjectOp(op::Append{share("a")}), ObjectOp(op::SetXattr{"a", "b"}),
                                ObjectOp(op::SetOmap{{{"a", "b"}}}), ObjectOp(op::SetOmap{})}) {
        EXPECT_EQ(run({one}), 0) << one.index();
        EXPECT_TRUE(exists()) << one.index();
        EXPECT_EQ(run({op::Remove{}}), 0);
        EXPECT_FALSE(exists());
    }
}

TEST_F(OneObject, is_not_made_by_zero_or_truncate) {
    EXPECT_EQ(run({op::Zero{0, 9}}), 0);
    EXPECT_EQ(run({op::Truncate{9}}), 0);
    EXPECT_FALSE(exists());
}

TEST_F(OneObject, carries_the_version_and_time_of_its_last_change) {
    run({full("a")});
    run({op::Append{share("b")}});
    auto info = read_object_info(place);
    ASSERT_TRUE(info);
    EXPECT_EQ(*info, (ObjectInfo{{9, 2}, 2, {77, 0}}));
    EXPECT_EQ(look({op::Read{}}).before, *info);
    EXPECT_EQ(ask(op::Stat{}).modified, (Timestamp{77, 0}));
}

TEST_F(OneObject, is_guarded_by_its_version) {
    run({full("a")});
    run({full("b")});
    EXPECT_EQ(run({op::AssertVersion{3}}), -ERANGE) << "it is older";
    EXPECT_EQ(run({op::AssertVersion{1}}), -EOVERFLOW) << "it is newer";
    EXPECT_EQ(run({op::AssertVersion{2}, full("c")}), 0);
    EXPECT_EQ(data(), "c");
}

TEST_F(OneObject, is_guarded_by_xattrs_and_data) {
    run({full("abc"), op::SetXattr{"k", "v"}});
    EXPECT_EQ(run({op::CompareXattr{"k", "v"}}), 0);
    EXPECT_EQ(run({op::CompareXattr{"k", ""}}), -ECANCELED);
    EXPECT_EQ(run({op::CompareXattr{"other", ""}}), 0) << "what is not there equals nothing";
    EXPECT_EQ(run({op::CompareXattr{"other", "v"}}), -ECANCELED);
    EXPECT_EQ(run({op::CompareData{1, "bc"}}), 0);
    EXPECT_EQ(run({op::CompareData{1, "bx"}}), -EILSEQ);
    EXPECT_EQ(run({op::CompareData{2, std::string("c\0\0", 3)}}), 0) << "zeros behind the end";
    EXPECT_EQ(run({op::CompareData{2, "cx"}}), -EILSEQ);
    EXPECT_EQ(run({op::CompareData{9, std::string(2, '\0')}}), 0);
}

TEST_F(OneObject, keeps_nothing_of_a_list_that_fails_anywhere) {
    run({full("abc")});
    EXPECT_EQ(run({full("x"), op::SetXattr{"k", "v"}, op::CompareData{0, "zzz"}}), -EILSEQ);
    EXPECT_EQ(run({op::Remove{}, op::Remove{}}), -ENOENT);
    EXPECT_EQ(run({op::Remove{}, op::Create{}, op::Create{true}}), -EEXIST);
    EXPECT_EQ(data(), "abc");
    EXPECT_EQ(ask(op::GetXattr{"k"}).result, -ENODATA);
}

TEST_F(OneObject, is_half_changed_only_by_a_planted_bug) {
    run({full("abc")});
    PlantBug bug(PlantedBug::half_a_list);
    EXPECT_FALSE(look({full("x"), op::AssertVersion{99}}).change.operations.empty());
}

TEST_F(OneObject, is_tested_and_read_as_it_was_before_the_lists_changes) {
    run({full("old")});
    EXPECT_EQ(run({full("new"), op::CompareData{0, "old"}}), 0);
    EXPECT_EQ(data(), "new");
    EXPECT_EQ(run({op::Remove{}, op::AssertExists{}}), 0);
    EXPECT_EQ(run({op::Create{}, op::AssertExists{}}), -ENOENT);
}

TEST_F(OneObject, sees_changes_of_a_list_in_their_order) {
    EXPECT_EQ(run({full("abc"), op::Append{share("d")}, write(0, "X"), op::Truncate{3},
                   op::Append{share("e")}}),
              0);
    EXPECT_EQ(data(), "Xbce");
    run({op::SetXattr{"k", "v"}});
    EXPECT_EQ(run({op::Remove{}, op::Append{share("f")}}), 0);
    EXPECT_EQ(data(), "f");
    EXPECT_EQ(ask(op::GetXattr{"k"}).result, -ENODATA) << "it is a new object";
}

TEST_F(OneObject, gives_each_result_of_a_reading_list_up_to_the_failing_one) {
    run({full("abc"), op::SetXattr{"k", "v"}});
    Execution done = look({op::Read{1, 1}, op::GetXattr{"x"}, op::Stat{}});
    EXPECT_EQ(done.result, -ENODATA);
    ASSERT_EQ(done.results.size(), 2u);
    EXPECT_EQ(done.results[0].data, "b");
    EXPECT_EQ(done.results[1].result, -ENODATA);
    EXPECT_TRUE(look({op::Read{}, full("x")}).results.empty()) << "none when it changes";
}

TEST_F(OneObject, is_read_as_far_as_it_goes) {
    run({full("abcdef")});
    EXPECT_EQ(ask(op::Read{2, 0}).data, "cdef") << "length 0: to the end";
    EXPECT_EQ(ask(op::Read{2, 2}).data, "cd");
    EXPECT_EQ(ask(op::Read{4, 99}).data, "ef");
    const OpResult beyond = ask(op::Read{6, 1});
    EXPECT_EQ(beyond.result, 0);
    EXPECT_EQ(beyond.data, "");
    EXPECT_EQ(ask(op::Read{UINT64_MAX, UINT64_MAX}).data, "");
}

TEST_F(OneObject, is_made_exclusively_only_when_it_is_missing) {
    EXPECT_EQ(run({op::Create{true}}), 0);
    EXPECT_EQ(run({op::Create{true}}), -EEXIST);
    EXPECT_EQ(run({full("a"), op::Create{}}), 0);
    EXPECT_EQ(data(), "a");
}

TEST_F(OneObject, keeps_its_attributes_when_it_is_written_in_full) {
    run({full("long long"), op::SetXattr{"k", "v"}, op::SetOmap{{{"o", "p"}}}});
    run({full("abc")});
    EXPECT_EQ(data(), "abc");
    EXPECT_EQ(ask(op::GetXattr{"k"}).data, "v");
    EXPECT_EQ(ask(op::GetOmap{"", 9}).values, (Attributes{{"o", "p"}}));
}

TEST_F(OneObject, is_zeroed_in_place_and_cut_off_where_the_zeros_reach_its_end) {
    run({full("abcdef")});
    run({op::Zero{1, 2}});
    EXPECT_EQ(data(), std::string("a\0\0def", 6));
    run({op::Zero{4, 2}});
    EXPECT_EQ(data(), std::string("a\0\0d", 4));
    run({op::Zero{1, UINT64_MAX}});
    EXPECT_EQ(data(), "a");
    run({op::Zero{1, 5}});
    run({op::Zero{0, 0}});
    EXPECT_EQ(data(), "a") << "zeros behind the end add nothing";
}

TEST_F(OneObject, grows_with_zeros_when_it_is_truncated_to_more) {
    run({full("ab")});
    run({op::Truncate{4}});
    EXPECT_EQ(data(), std::string("ab\0\0", 4));
    run({op::Truncate{1}});
    EXPECT_EQ(data(), "a");
}

TEST_F(OneObject, is_never_longer_than_the_limit) {
    EXPECT_EQ(run({write(most, "a")}), -EFBIG);
    EXPECT_EQ(run({write(UINT64_MAX, "a")}), -EFBIG);
    EXPECT_EQ(run({op::Create{}, op::Truncate{most + 1}}), -EFBIG);
    EXPECT_FALSE(exists());
    EXPECT_EQ(run({op::Create{}, op::Truncate{most}}), 0);
    EXPECT_EQ(run({op::Append{share("a")}}), -EFBIG);
    EXPECT_EQ(run({write(most - 1, "a")}), 0);
    EXPECT_EQ(size(), most);
}

TEST_F(OneObject, has_xattrs_beside_the_osds_own) {
    run({op::SetXattr{"", "nameless"}, op::SetXattr{"_", "like ours"}, op::SetXattr{"k", "v"}});
    EXPECT_EQ(ask(op::GetXattrs{}).values,
              (Attributes{{"", "nameless"}, {"_", "like ours"}, {"k", "v"}}));
    EXPECT_EQ(ask(op::GetXattr{"_"}).data, "like ours");
    EXPECT_EQ(run({op::RemoveXattr{"k"}}), 0);
    EXPECT_EQ(run({op::RemoveXattr{"k"}}), 0) << "no error when it is not there";
    EXPECT_EQ(ask(op::GetXattr{"k"}).result, -ENODATA);
    EXPECT_TRUE(read_object_info(place)) << "no name of a user's hides it";
}

TEST_F(OneObject, refuses_attributes_that_no_store_takes) {
    const std::string name(StoreLimits::name_bytes, 'n');
    EXPECT_EQ(run({op::SetXattr{name, ""}}), -ENAMETOOLONG) << "ours has one letter more";
    EXPECT_EQ(run({op::SetXattr{name.substr(1), ""}}), 0);
    EXPECT_EQ(run({op::SetXattr{"k", std::string(StoreLimits::xattr_bytes + 1, 'v')}}), -E2BIG);
    EXPECT_EQ(run({op::SetOmap{{{name + "n", ""}}}}), -ENAMETOOLONG);
    EXPECT_EQ(run({op::SetOmap{{{name, ""}}}}), 0);
    EXPECT_EQ(run({op::SetOmap{{{"k", std::string(StoreLimits::omap_value_bytes + 1, 'v')}}}}),
              -E2BIG);
}

TEST_F(OneObject, lists_omap_page_by_page) {
    run({op::SetOmap{{{"a", "1"}, {"b", "2"}, {"c", "3"}}}});
    OpResult page = ask(op::GetOmap{"", 2});
    EXPECT_EQ(page.values, (Attributes{{"a", "1"}, {"b", "2"}}));
    EXPECT_TRUE(page.more);
    page = ask(op::GetOmap{"b", 2});
    EXPECT_EQ(page.values, (Attributes{{"c", "3"}}));
    EXPECT_FALSE(page.more);
    EXPECT_EQ(ask(op::GetOmapValues{{"c", "x"}}).values, (Attributes{{"c", "3"}}));
    run({op::RemoveOmapKeys{{"a", "x"}}});
    EXPECT_EQ(ask(op::GetOmap{"", 9}).values, (Attributes{{"b", "2"}, {"c", "3"}}));
    run({op::ClearOmap{}});
    EXPECT_TRUE(ask(op::GetOmap{"", 9}).values.empty());
}

TEST_F(OneObject, is_reported_damaged_by_whatever_needs_the_damaged_part) {
    run({full("abc"), op::SetOmap{{{"k", "v"}}}});
    damage(ObjectPart::data);
    EXPECT_TRUE(look({op::Read{}}).damaged);
    EXPECT_TRUE(look({op::CompareData{0, "abc"}, full("x")}).damaged);
    EXPECT_FALSE(look({op::Stat{}}).damaged);
    EXPECT_FALSE(look({op::GetOmap{"", 9}}).damaged);
    EXPECT_EQ(read_whole_object(place).error().code, Code::io);
    EXPECT_EQ(run({full("xyz")}), 0) << "what replaces the bytes heals them";
    EXPECT_EQ(data(), "xyz");
    damage(ObjectPart::omap);
    EXPECT_TRUE(look({op::GetOmap{"", 9}}).damaged);
    EXPECT_TRUE(look({op::GetOmapValues{{"k"}}}).damaged);
    EXPECT_FALSE(look({op::Read{}}).damaged);
}

TEST_F(OneObject, is_damaged_as_a_whole_when_its_info_is) {
    run({full("abc")});
    damage(ObjectPart::xattrs);
    EXPECT_EQ(read_object_info(place).error().code, Code::io);
    for (const ObjectOps& ops :
         {ObjectOps{op::Read{}}, ObjectOps{full("x")}, ObjectOps{op::Remove{}}}) {
        const Execution done = look(ops);
        EXPECT_TRUE(done.damaged);
        EXPECT_TRUE(done.change.operations.empty());
    }
}

TEST_F(OneObject, is_copied_whole) {
    Attributes many;
    for (int i = 0; i < 2500; ++i) many[std::to_string(i)] = "v";
    run({full("abc"), op::SetXattr{"k", "v"}, op::SetOmap{many}});
    auto whole = read_whole_object(place);
    ASSERT_TRUE(whole);
    EXPECT_EQ(*whole->data, "abc");
    EXPECT_EQ(whole->omap, many) << "page after page";
    EXPECT_EQ(whole->xattrs.at(".k"), "v");
    EXPECT_TRUE(decode_object_info(whole->xattrs.at("_"))) << "with the OSD's own";
    run({op::Remove{}});
    EXPECT_EQ(read_whole_object(place).error().code, Code::not_found);
}

TEST(ObjectOps, are_told_apart_by_what_they_do) {
    const ObjectOps read = {op::AssertExists{}, op::Read{}},
                    removal = {op::AssertVersion{1}, op::Remove{}},
                    change = {op::Remove{}, op::Create{}};
    EXPECT_TRUE(reads(read) && !changes(read));
    EXPECT_TRUE(reads(removal) && changes(removal) && only_frees(removal));
    EXPECT_TRUE(!reads(change) && changes(change) && !only_frees(change));
    EXPECT_TRUE(only_frees({op::RemoveXattr{}, op::RemoveOmapKeys{}, op::ClearOmap{}}));
    EXPECT_FALSE(only_frees({op::Truncate{}}));
}

} // namespace
} // namespace cloudlet::rados
