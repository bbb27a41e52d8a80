/* C++ classes: bases, virtual ones too, templates, static members, pointers to members, references, `this`. */

struct Animal {
    virtual ~Animal() {}
    virtual int sound() { return 0; }
    int legs = 4;
    static int count;
    static constexpr int limit = 70;
};
int Animal::count = 3;

struct Swimmer : virtual Animal {
    int depth = 20;
};
struct Flyer : virtual Animal {
    int height = 30;
};

namespace zoo {
enum class Mood : unsigned char { Calm, Cross };
struct Duck : Swimmer, Flyer {
    int eggs = 5;
    Mood mood = Mood::Cross;
    union {
        int weight = 9;
        char weight_bytes[4];
    };
    static int hatched;
    int lay(int more) {
        int before = eggs;
        eggs += more;
        return eggs - before; /* @lay */
    }
};
int Duck::hatched = 12;
} // namespace zoo

template <typename T, int N> struct Cage {
    T items[N];
    const T *last;
    T first() { return items[0]; /* @first */ }
};

namespace {
int hidden = 44;
}

int main() {
    zoo::Duck duck;
    int Animal::*data = &Animal::legs;
    int zoo::Duck::*null_data = nullptr;
    int (zoo::Duck::*function)(int) = &zoo::Duck::lay;
    int (Animal::*virtual_function)() = &Animal::sound;
    int (Animal::*no_function)() = nullptr;
    int &legs = duck.legs;
    const zoo::Duck &reference = duck;
    zoo::Duck &&moved = static_cast<zoo::Duck &&>(duck);
    Animal *animal = &duck;
    Cage<int, 3> cage{{1, 2, 3}, nullptr};
    cage.last = &cage.items[2];
    Cage<zoo::Mood, 2> moods{{zoo::Mood::Calm, zoo::Mood::Cross}, nullptr};
    decltype(nullptr) nothing = nullptr;
    wchar_t wide[] = L"wide \x20ac";
    char16_t sixteen[] = u"sixteen";
    char32_t letter = U'x';
    bool yes = true;
    int total = (duck.*virtual_function)() + (no_function != nullptr) + (duck.*function)(2) + duck.*data + legs + reference.eggs + moved.height; /* @ready */
    total += Animal::count + Animal::limit + zoo::Duck::hatched + hidden + cage.first() + animal->legs;
    return total + (nothing == nullptr) + wide[0] + sixteen[0] + (int)letter + yes + (null_data == nullptr) +
                   (int)moods.items[0] ==
               0;
}
