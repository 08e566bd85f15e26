using Analytics.Actors.Node.Demo;

namespace Analytics.Actors.Tests.Demo;

public class OrderSecondsTests
{
    [Fact]
    public void A_second_closes_with_the_first_order_of_a_later_one()
    {
        var seconds = new OrderSeconds();
        seconds.Acknowledged(10_100, 10_110);
        seconds.Acknowledged(10_900, 10_910);
        seconds.Acknowledged(11_200, 11_205);
        seconds.ClosedAtMs(10_110).ShouldBe(11_205);
        seconds.ClosedAtMs(10_910).ShouldBe(11_205);
        seconds.ClosedAtMs(11_205).ShouldBe(12_205);
    }

    [Fact]
    public void Or_after_a_second_of_silence()
    {
        var seconds = new OrderSeconds();
        seconds.Acknowledged(10_100, 10_110);
        seconds.Acknowledged(10_200, 10_210);
        seconds.Acknowledged(15_000, 15_010);
        seconds.ClosedAtMs(10_110).ShouldBe(11_210);
    }

    [Fact]
    public void An_older_order_joins_the_open_second_and_after_its_closing_the_next_one()
    {
        var seconds = new OrderSeconds();
        seconds.Acknowledged(10_100, 10_110);
        seconds.Acknowledged(7_000, 10_500);
        seconds.ClosedAtMs(10_500).ShouldBe(11_500);
        seconds.Acknowledged(8_000, 13_000);
        seconds.ClosedAtMs(10_500).ShouldBe(11_500);
        seconds.ClosedAtMs(13_000).ShouldBe(14_000);
        seconds.Acknowledged(13_500, 13_510);
        seconds.ClosedAtMs(13_000).ShouldBe(13_510);
    }

    [Fact]
    public void What_is_too_long_ago_is_unknown()
    {
        var seconds = new OrderSeconds();
        for (var second = 1; second <= 100; second++) seconds.Acknowledged(second * 1_000, second * 1_000 + 10);
        seconds.ClosedAtMs(1_010).ShouldBeNull();
        seconds.ClosedAtMs(90_010).ShouldBe(91_010);
        new OrderSeconds().ClosedAtMs(5).ShouldBeNull();
    }
}
