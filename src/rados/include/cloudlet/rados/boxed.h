#pragma once
// A value that is nearly always the default one: then it takes a pointer's room and nothing else.
// Copies like the value itself. One thread.

#include <memory>
#include <utility>

namespace cloudlet::rados {

template <typename T>
class Boxed {
public:
    Boxed() = default;
    Boxed(T value) : box_(make(std::move(value))) {} // NOLINT: used like the value
    Boxed(const Boxed& other) : box_(other.box_ ? std::make_unique<T>(*other.box_) : nullptr) {}
    Boxed(Boxed&&) noexcept = default;
    Boxed& operator=(const Boxed& other) {
        if (this != &other) box_ = other.box_ ? std::make_unique<T>(*other.box_) : nullptr;
        return *this;
    }
    Boxed& operator=(Boxed&&) noexcept = default;
    ~Boxed() = default;

    const T& operator*() const { return box_ ? *box_ : nothing(); }
    const T* operator->() const { return &**this; }
    operator const T&() const { return **this; } // NOLINT: used like the value
    bool operator==(const Boxed& other) const { return **this == *other; }
    /// For changing it.
    T& edit() {
        if (!box_) box_ = std::make_unique<T>();
        return *box_;
    }
    void reset() { box_.reset(); }

private:
    static const T& nothing() {
        static const T value;
        return value;
    }
    static std::unique_ptr<T> make(T value) {
        if (value == nothing()) return nullptr;
        return std::make_unique<T>(std::move(value));
    }

    std::unique_ptr<T> box_;
};

} // namespace cloudlet::rados
