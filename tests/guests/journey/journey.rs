// A tour of what Rust does with values. It looks around at marked places: each calls the host.
// Built once at each level; see build.py beside this file.

extern "C" {
    fn write(file: i32, bytes: *const u8, count: usize) -> isize;
}

static mut SIGHTINGS: u32 = 0;
static ZERO: i32 = 0;

/// A number that the compiler does not know.
fn hidden(number: i32) -> i32 {
    number + unsafe { std::ptr::read_volatile(&ZERO) }
}

#[inline(never)]
fn look() {
    unsafe {
        SIGHTINGS += 1; // @look
        write(1, b".".as_ptr(), 1);
    }
}

#[derive(Clone, Copy)]
struct Point {
    x: i32,
    y: i32,
}

enum Shape {
    Dot,
    Circle(f64),
    Rect { w: u32, h: u32 },
}

impl Point {
    #[inline(always)]
    fn area(self) -> i32 {
        let result = self.x * self.y;
        look(); // @area
        result
    }
}

#[inline(never)]
fn boxes(offset: i32) -> i32 {
    let size = Point { x: offset, y: offset + 1 };
    let first = size.area(); // @first
    let moved = Point { x: size.x - 2, ..size };
    let second = moved.area(); // @second
    first - second
}

#[inline(never)]
fn widths(tiny: i8, small: u16, plain: i32, wide: i64, single: f32, both: f64) -> i64 {
    let byte = (tiny + 3) as u8;
    let sum = tiny as i32 + small as i32;
    let product = wide * plain as i64;
    let ratio = both / 2.0 + single as f64;
    let positive = plain > 0;
    look(); // @widths
    product + sum as i64 + ratio as i64 + byte as i64 + positive as i64
}

#[inline(never)]
fn total(numbers: &[i32]) -> i32 {
    let mut sum = 0;
    for (index, number) in numbers.iter().enumerate() {
        sum += number * (index as i32 + 1);
        look(); // @loop
    }
    sum
}

#[inline(never)]
fn weigh(shape: &Shape, scale: u32) -> u32 {
    let weight = match shape {
        Shape::Dot => 0,
        Shape::Circle(radius) => (radius * 2.0) as u32,
        Shape::Rect { w, h } => w * h,
    };
    look(); // @weigh
    weight * scale
}

#[inline(never)]
fn find(words: &[String], wanted: &str) -> Option<usize> {
    let found = words.iter().position(|word| word == wanted);
    look(); // @find
    found
}

#[inline(never)]
fn depth(number: u64, level: u32) -> u64 {
    if number <= 1 {
        look(); // @bottom
        return level as u64;
    }
    let half = number / 2;
    let rest = depth(half, level + 1); // @depth
    rest + half
}

fn main() {
    let numbers = vec![4, hidden(9), 2];
    let words = vec![String::from("one"), String::from("two")];
    let (one, nine) = (hidden(1), hidden(9));
    let (tiny, small, wide) = (hidden(-3) as i8, hidden(40000) as u16, (one as i64) << 40);
    let mut sum = widths(tiny, small, hidden(7), wide, one as f32 / 2.0, nine as f64) as i32; // @start
    sum += total(&numbers); // @total
    sum += boxes(hidden(6)); // @boxes
    for shape in [Shape::Dot, Shape::Circle(nine as f64 / 6.0), Shape::Rect { w: 2, h: hidden(3) as u32 }] {
        sum += weigh(&shape, hidden(10) as u32) as i32; // @weighed
    }
    sum += find(&words, "two").unwrap_or(9) as i32; // @found
    sum += depth(hidden(5) as u64, hidden(0) as u32) as i32; // @deep
    look(); // @end
    std::process::exit((sum == 0) as i32);
}
