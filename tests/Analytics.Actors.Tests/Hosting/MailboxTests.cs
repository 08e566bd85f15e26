using Analytics.Actors.Node.Hosting;

namespace Analytics.Actors.Tests.Hosting;

public class MailboxTests
{
    [Fact]
    public void Who_takes_no_data_gets_the_orders_and_finds_the_data_in_its_order_later()
    {
        var mailbox = new Mailbox<string>(1_000);
        mailbox.Post("first", 10);
        mailbox.Post("order");
        mailbox.Post("second", 20);
        mailbox.Take(TimeSpan.Zero, 0).ShouldBe([("order", 0)]);
        mailbox.Take(TimeSpan.Zero, 0).ShouldBeEmpty();
        mailbox.Take(TimeSpan.FromMinutes(1), 5).ShouldBe([("first", 10)], "one is taken however large it is");
        mailbox.Take(TimeSpan.FromMinutes(1)).ShouldBe([("second", 20)]);
        mailbox.Count.ShouldBe(0);
    }
}
