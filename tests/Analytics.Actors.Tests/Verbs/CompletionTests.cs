using System.Diagnostics;

namespace Analytics.Actors.Tests.CommandLines;

/// <summary>The script of <c>completion bash</c>, in a real bash.</summary>
public class CompletionTests
{
    [Theory]
    [InlineData("analytics clus", "cluster")]
    [InlineData("analytics bench mi", "mix")]
    [InlineData("analytics cluster ", "down leave show status tail")]
    [InlineData("analytics station S1 ", "forget pause resume")]
    [InlineData("analytics stations --st", "--stale")]
    [InlineData("analytics dead-letters list --state re", "replayed")]
    public async Task The_next_word_is_completed(string line, string words)
    {
        // What bash sets before it calls the function.
        var script = $$"""
            analytics() { dotnet '{{Path.Combine(AppContext.BaseDirectory, "analytics.dll")}}' "$@"; }
            source <(analytics completion bash)
            COMP_LINE='{{line}}'
            COMP_POINT=${#COMP_LINE}
            COMP_WORDS=($COMP_LINE)
            [ "${COMP_LINE: -1}" = ' ' ] && COMP_WORDS+=('')
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            _analytics
            printf '%s\n' "${COMPREPLY[@]}"
            """;
        var start = new ProcessStartInfo("bash", ["-c", script]) { RedirectStandardOutput = true, RedirectStandardError = true };
        using var bash = Process.Start(start)!;
        var error = bash.StandardError.ReadToEndAsync();
        var output = await bash.StandardOutput.ReadToEndAsync();
        await bash.WaitForExitAsync();
        (await error).ShouldBeEmpty();
        var offered = output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Distinct().Where(word => !line.EndsWith(' ') || !word.StartsWith('-')).Order(StringComparer.Ordinal);
        string.Join(' ', offered).ShouldBe(words);
    }
}
