using System.Runtime.InteropServices;
using Analytics.Actors.Kafka;
using Shouldly;
using Xunit;

namespace Analytics.Actors.Tests.Kafka;

/// <summary>How late the kernel may end the waits of a client's threads, and whose else.</summary>
public sealed class ClientThreadsTests
{
    private const int Version20 = 0x020002ff, Usual = 50_000;
    private static readonly Dictionary<string, string> Nothing = [];

    [Fact]
    public void Threads_that_begin_with_a_client_may_be_late_and_no_others()
    {
        if (!OperatingSystem.IsLinux() || !ClientThreads.MayBeLate(Nothing, Confluent.Kafka.Library.Version)) return;
        (int Before, int Within, int After, int AfterFailure) slack = default;
        OnUsualThread(() =>
        {
            slack.Before = Slack();
            slack.Within = ClientThreads.Build(Nothing, SlackOfNewThread);
            slack.After = Slack();
            try
            {
                ClientThreads.Build<int>(Nothing, () => throw new InvalidOperationException("the client could not be made"));
            }
            catch (InvalidOperationException)
            {
                slack.AfterFailure = Slack();
            }
        });

        slack.Within.ShouldBe(10_000_000);
        slack.After.ShouldBe(slack.Before);
        slack.AfterFailure.ShouldBe(slack.Before);
        slack.Before.ShouldBe(Usual);
    }

    [Fact]
    public void A_client_whose_short_waits_matter_is_left_as_it_is()
    {
        if (!OperatingSystem.IsLinux()) return;
        ClientThreads.MayBeLate(new Dictionary<string, string> { ["linger.ms"] = "0" }, Version20).ShouldBeTrue();
        ClientThreads.MayBeLate(new Dictionary<string, string> { ["linger.ms"] = "5" }, Version20).ShouldBeFalse();
        ClientThreads.MayBeLate(new Dictionary<string, string> { ["linger.ms"] = "0", ["queue.buffering.max.ms"] = "5" }, Version20).ShouldBeFalse();
        ClientThreads.MayBeLate(Nothing, 0x020200ff).ShouldBeFalse();
        var slack = 0;
        OnUsualThread(() => slack = ClientThreads.Build(new Dictionary<string, string> { ["linger.ms"] = "5" }, Slack));
        slack.ShouldBe(Usual);
    }

    // One of the pool may itself have been begun by a client's thread, which reported something.
    private static void OnUsualThread(Action action)
    {
        var outer = new Thread(() =>
        {
            Call(29, Usual);
            var inner = new Thread(() => action());
            inner.Start();
            inner.Join();
        });
        outer.Start();
        outer.Join();
    }

    private static int SlackOfNewThread()
    {
        var slack = 0;
        var thread = new Thread(() => slack = Slack());
        thread.Start();
        thread.Join();
        return slack;
    }

    // PR_GET_TIMERSLACK of linux/prctl.h, in nanoseconds; 29 sets it.
    private static int Slack() => Call(30, 0);

    private static int Call(int option, nuint first) =>
        Marshal.GetDelegateForFunctionPointer<Prctl>(NativeLibrary.GetExport(NativeLibrary.Load("libc.so.6"), "prctl"))(option, first, 0, 0, 0);

    private delegate int Prctl(int option, nuint first, nuint second, nuint third, nuint fourth);
}
